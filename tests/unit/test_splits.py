"""The paper's split table, and what is said of questions that are others."""

import pytest

from searchr2.config import SETS
from searchr2.files import DataError
from searchr2.splits import EVALUATION, TRAINING, check


def counts(table):
    return {name: split.questions for name, split in table.items()}


def test_the_table_has_the_papers_sums_in_its_order():
    assert tuple(EVALUATION) == SETS
    assert sum(counts(EVALUATION).values()) == 51_713
    assert sum(counts(TRAINING).values()) == 169_615
    check(EVALUATION, counts(EVALUATION))
    check(TRAINING, counts(TRAINING))


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"nq": 3_609}, ["nq: 3,609 questions read, its test split has 3,610"]),
        ({"musique": 0, "popqa": 1}, ["popqa: 1 questions", "musique: 0 questions read, its dev"]),
        ({"squad": 5}, ["squad: not one of the paper's sets"]),
    ],
)
def test_each_set_that_differs_is_named_with_both_numbers(change, told):
    with pytest.raises(DataError, match=r"data\.expect") as error:
        check(EVALUATION, counts(EVALUATION) | change)
    lines = str(error.value).splitlines()[1:]
    assert len(lines) == len(told)
    assert all(text in line for text, line in zip(told, lines, strict=True))
