"""Question rows as others write them, brought into FlashRAG's layout.

    verl, Search-R1, SkyRL    reward_model (or reward_spec) with the gold answers, data_source
    HotpotQA, 2WikiMultiHopQA   _id, question, answer, supporting_facts, context
    MuSiQue                   id, question, answer, answer_aliases, paragraphs

Passages that came with a question are left behind: the task is to find them.
"""

from __future__ import annotations

from typing import Any

Row = dict[str, Any]


def as_flashrag(row: Row) -> Row:
    """``row`` in FlashRAG's layout; one in no dialect known here comes back as it is.

    Raises ``ValueError`` where a row lacks what its dialect needs.
    """
    if "reward_model" in row or "reward_spec" in row:
        row = _verl(row)
    elif "_id" in row and "golden_answers" not in row:
        row = _hotpotqa(row)
    elif "paragraphs" in row and "golden_answers" not in row:
        row = _musique(row)
    metadata = row.get("metadata")
    if isinstance(metadata, dict):
        kept = {k: v for k, v in metadata.items() if k != "context" and v is not None}
        return {**row, "metadata": kept}
    return row


def _verl(row: Row) -> Row:
    extra = row.get("extra_info") or {}
    source = row.get("data_source")
    split, index = extra.get("split"), extra.get("index")
    return {
        "id": row.get("id") or (f"{split}_{index}" if index is not None else None),
        "question": row.get("question") or extra.get("question") or _asked(row.get("prompt")),
        "golden_answers": row.get("golden_answers") or _targets(row),
        "data_source": source.removeprefix("searchR1_") if isinstance(source, str) else source,
        "metadata": row.get("metadata"),
    }


def _targets(row: Row) -> list[Any]:
    truth = (row.get("reward_model") or row.get("reward_spec") or {}).get("ground_truth")
    targets = truth.get("target") if isinstance(truth, dict) else truth
    return targets if isinstance(targets, list) else [targets]


def _asked(prompt: Any) -> str | None:
    """The question at the end of Search-R1's prompt, "... Question: {question}"."""
    if not isinstance(prompt, list) or not prompt or not isinstance(prompt[-1], dict):
        return None
    _, found, question = str(prompt[-1].get("content")).rpartition("Question: ")
    return question if found else None


def _hotpotqa(row: Row) -> Row:
    kept = ("type", "level", "supporting_facts", "evidences")
    return {
        "id": row["_id"],
        "question": row.get("question"),
        "golden_answers": [_answer(row)],
        "metadata": {key: row[key] for key in kept if key in row},
    }


def _musique(row: Row) -> Row:
    paragraphs = row["paragraphs"]
    titles = [one.get("title") for one in paragraphs if one.get("is_supporting")]
    metadata: Row = {"answerable": row.get("answerable"), "supporting_titles": titles}
    if "question_decomposition" in row:
        metadata["question_decomposition"] = row["question_decomposition"]
    aliases = row.get("answer_aliases") or []
    if not isinstance(aliases, list):
        raise ValueError('"answer_aliases" must be a list')
    return {
        "id": row.get("id"),
        "question": row.get("question"),
        "golden_answers": list(dict.fromkeys([_answer(row), *aliases])),
        "metadata": metadata,
    }


def _answer(row: Row) -> Any:
    if row.get("answer") is None:
        raise ValueError('no "answer": a test file whose answers are withheld?')
    return row["answer"]
