"""The task's passages and questions, checked and split: the world's files, or a user's own."""

from __future__ import annotations

import shutil
from collections import Counter
from pathlib import Path

from searchr2 import splits
from searchr2.config import SETS, ConfigError, Data
from searchr2.corpus import import_corpus, read_corpus
from searchr2.files import write_jsonl
from searchr2.formats import is_json_lines
from searchr2.progress import bar
from searchr2.questions import question_row, read_questions
from searchr2.randomness import generator, stage_key
from searchr2.trajectory import Question


def prepare(settings: Data, world: Path, out: Path) -> None:
    """Write corpus, questions/<set>, train and validation (.jsonl) under ``out``.

    A user's corpus is checked and linked to, not copied, where it is plain JSON lines; others are
    imported. Raises ``DataError`` (file, row, reason) at a row that cannot be used, and where
    ``expect`` is not met; ``ConfigError`` where ``validation`` leaves nothing to train on.
    """
    if settings.corpus is None:
        out.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(world / "corpus.jsonl", out / "corpus.jsonl")
    else:
        _take_corpus(Path(settings.corpus), out / "corpus.jsonl")
    files = {name: world / "questions" / f"{name}.jsonl" for name in SETS}
    if settings.questions is not None:
        files = {str(name): Path(file) for name, file in settings.questions.items()}
    asked = {name: read_questions(file, name) for name, file in files.items()}
    if settings.expect == "paper":
        splits.check(splits.EVALUATION, {name: len(read) for name, read in asked.items()})
    for name, read in asked.items():
        _write(out / "questions" / f"{name}.jsonl", read[: settings.max_questions])
    if settings.train is None:
        train, held_out = (read_questions(world / f"{n}.jsonl") for n in ("train", "validation"))
    else:
        union = [question for file in settings.train for question in read_questions(Path(file))]
        if settings.expect == "paper":
            splits.check(splits.TRAINING, Counter(question.dataset for question in union))
        train, held_out = _split(union, settings.validation)
    _write(out / "train.jsonl", train)
    _write(out / "validation.jsonl", held_out)


def _split(union: list[Question], held_out: int) -> tuple[list[Question], list[Question]]:
    """``union`` shuffled: all but its last ``held_out`` questions, and these."""
    if len(union) <= held_out:
        raise ConfigError(
            f"data.validation: {held_out} of {len(union)} rows held out leave none to train on"
        )
    order = generator(*stage_key(0, "data/split")).permutation(len(union))
    shuffled = [union[i] for i in order]
    return shuffled[:-held_out], shuffled[-held_out:]


def _write(path: Path, questions: list[Question]) -> None:
    write_jsonl(path, map(question_row, questions))


def _take_corpus(source: Path, target: Path) -> None:
    with bar(0, "checking the corpus", "passages") as shown:
        for _ in read_corpus(source):
            shown.update()
    target.parent.mkdir(parents=True, exist_ok=True)
    target.unlink(missing_ok=True)
    if is_json_lines(source):
        target.symlink_to(source.resolve())
    else:
        import_corpus(source, target)
