"""The generated world: what its files promise to those who train, ask and judge on it."""

import re
from collections import Counter

import pytest
from worlds import FILES, HELD_OUT, passages, rows

from searchr2.config import SETS, World
from searchr2.world.lands import build
from searchr2.world.relations import RELATIONS
from searchr2.world.rows import WorldError
from searchr2.world.write import write_world

SMALL = World(
    works=60, test_questions=4, validation_questions=14, train_questions=20, demonstrations=70
)
KEYWORDS = {relation.key: relation.keyword for relation in RELATIONS}


def contents(folder):
    return {str(f.relative_to(folder)): f.read_bytes() for f in sorted(folder.rglob("*.jsonl"))}


def names(land):
    """Every full name of a land, years aside."""
    facts = [fact for of_entity in land.facts.values() for fact in of_entity]
    found = {fact.subject.name for fact in facts} | {fact.value.name for fact in facts}
    return {name for name in found if not name.isdigit()}


def test_one_seed_writes_the_same_bytes_and_another_seed_others(tmp_path):
    for folder, seed in (("a", 7), ("b", 7), ("c", 8)):
        write_world(SMALL.model_copy(update={"seed": seed}), tmp_path / folder)
    first, again, other = (contents(tmp_path / folder) for folder in "abc")
    assert len(first) == 4 + len(SETS)
    assert first == again
    assert all(first[name] != other[name] for name in first)


def test_the_files_hold_as_many_rows_as_the_config_says():
    settings = World()
    assert 950 <= len(rows("corpus")) <= 1050
    assert len(rows("train")) == settings.train_questions
    assert len(rows("validation")) == settings.validation_questions
    assert len(rows("demonstrations")) == settings.demonstrations
    assert {len(rows(file)) for file in HELD_OUT} == {settings.test_questions}
    for file in FILES:
        keys = [(row["dataset"], row["id"]) for row in rows(file)]
        assert len(set(keys)) == len(keys)


def test_training_is_on_two_sets_and_choices_are_made_on_all_seven():
    def share(file):
        return Counter(row["dataset"] for row in rows(file))

    assert share("train") == {"nq": 600, "hotpotqa": 600}
    assert share("validation") == dict.fromkeys(SETS, 20)
    assert set(share("demonstrations")) == set(SETS)
    assert all(set(share(f"questions/{name}")) == {name} for name in SETS)


def test_every_sentence_names_its_subject_and_passages_are_short():
    for title, text in passages().values():
        subject = re.sub(r" \((novel|song)\)$", "", title)
        sentences = text.rstrip(".").split(". ")
        assert 2 <= len(sentences) <= 3
        assert all(sentence.startswith(f"{subject} ") for sentence in sentences)


def test_some_titles_are_shared_and_some_say_their_kind():
    titles = Counter(title for title, _ in passages().values())
    assert sum(count > 1 for count in titles.values()) > 20
    assert sum(title.endswith((" (novel)", " (song)")) for title in titles) > 20


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("works", [40, 420])
def test_lands_share_words_but_no_name(seed, works):
    train, validation, test = (names(land) for land in build(seed, works))
    assert not train & validation
    assert not train & test
    assert not validation & test
    known = {word for name in train for word in name.split()}
    assert {word for name in validation | test for word in name.split()} <= known


def test_a_held_out_fact_is_in_no_training_row():
    """So that no held-out question can be answered from the weights."""
    told = "\n".join(set(texts("train", "demonstrations")))
    held_out = [
        hop for f in ("validation", *HELD_OUT) for row in rows(f) for hop in row["metadata"]["hops"]
    ]
    for name in {hop[part] for hop in held_out for part in ("subject", "fact", "value")}:
        assert name.isdigit() or name not in told


def texts(*files):
    """Everything their rows say."""
    for file in files:
        for row in rows(file):
            yield row["question"]
            yield from row["golden_answers"]
            yield from (hop["fact"] for hop in row["metadata"]["hops"])


@pytest.mark.parametrize("file", FILES)
def test_every_hop_is_stated_in_a_supporting_passage(file):
    for row in rows(file):
        about = row["metadata"]
        support = [passages()[id_] for id_ in about["supporting_ids"]]
        assert [title for title, _ in support] == about["supporting_titles"]
        for hop in about["hops"]:
            assert any(title == hop["title"] and hop["fact"] in text for title, text in support)
            assert hop["fact"].startswith(f"{hop['subject']} ")
            assert hop["fact"].endswith(f" {hop['value']}.")
            assert f" {hop['keyword']} " in hop["fact"]
            assert hop["keyword"] == KEYWORDS[hop["relation"]]


@pytest.mark.parametrize("file", FILES)
def test_hops_lead_from_the_question_to_the_answer(file):
    for row in rows(file):
        hops = row["metadata"]["hops"]
        for before, hop in zip([{"value": None}, *hops], hops, strict=False):
            assert hop["subject"] in row["question"] or before["value"] == hop["subject"]
        assert row["golden_answers"][0] == follow(hops, row["metadata"]["final"])


def follow(hops, final):
    """The answer, from hops and ``final`` alone."""
    one, other = (hops[i] for i in (final["over"][0], final["over"][-1]))
    if final["kind"] == "chain":
        return one["value"]
    if final["kind"] == "same":
        return "yes" if one["value"] == other["value"] else "no"
    assert one["value"] != other["value"]
    earlier, later = sorted((one, other), key=lambda hop: int(hop["value"]))
    return {"earlier": earlier, "later": later}[final["op"]]["subject"]


def test_one_wording_never_has_two_answers():
    answers: dict[tuple[str, str], list[str]] = {}
    for file in FILES:
        for row in rows(file):
            golds = row["golden_answers"]
            assert answers.setdefault((row["dataset"], row["question"]), golds) == golds


def test_test_questions_of_a_set_are_distinct():
    for file in HELD_OUT:
        questions = [row["question"] for row in rows(file)]
        assert len(set(questions)) == len(questions)


def test_the_sets_differ_in_hops_and_diction():
    hops = {
        name: Counter(len(row["metadata"]["hops"]) for row in rows(f"questions/{name}"))
        for name in SETS
    }
    assert set(hops["nq"]) == set(hops["triviaqa"]) == set(hops["popqa"]) == {1}
    assert set(hops["hotpotqa"]) == set(hops["bamboogle"]) == {2}
    assert set(hops["2wikimultihopqa"]) == {2, 4}
    assert set(hops["musique"]) == {2, 3, 4}
    for row in rows("questions/nq"):
        assert row["question"][0].islower()
        assert not row["question"].endswith("?")
    assert all(row["question"].endswith("?") for n in SETS[1:] for row in rows(f"questions/{n}"))
    assert any(len(row["golden_answers"]) > 1 for row in rows("questions/triviaqa"))


def test_questions_one_could_guess_are_a_minority_and_balanced():
    for name in ("hotpotqa", "2wikimultihopqa"):
        types = Counter(row["metadata"]["final"]["kind"] for row in rows(f"questions/{name}"))
        assert 0 < types["same"] + types["compare"] <= 20
    verdicts = Counter(
        row["golden_answers"][0]
        for row in rows("demonstrations")
        if row["metadata"]["final"]["kind"] == "same"
    )
    assert abs(verdicts["yes"] - verdicts["no"]) < 0.2 * verdicts.total()


def test_a_world_too_small_for_its_questions_says_so(tmp_path):
    with pytest.raises(WorldError, match=r"test questions of .* raise world\.works"):
        write_world(World(works=40, test_questions=500), tmp_path)
    assert not list(tmp_path.iterdir())
