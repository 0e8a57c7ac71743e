"""The paper's questions (section 6): which split of each set, and how many there are in it.

51,713 to evaluate on and 169,615 to train on. HotpotQA, 2WikiMultiHopQA and MuSiQue publish no
answers of their test split, so their development split is evaluated.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from searchr2.files import DataError


class Split(NamedTuple):
    name: str
    questions: int


EVALUATION = {
    "nq": Split("test", 3_610),
    "triviaqa": Split("test", 11_313),
    "popqa": Split("test", 14_267),
    "hotpotqa": Split("dev", 7_405),
    "2wikimultihopqa": Split("dev", 12_576),
    "musique": Split("dev", 2_417),
    "bamboogle": Split("test", 125),
}
TRAINING = {"nq": Split("train", 79_168), "hotpotqa": Split("train", 90_447)}
"""GRPO's prompts are the union."""


def check(expected: Mapping[str, Split], found: Mapping[str, int]) -> None:
    """Raise ``DataError`` naming each set of which not so many questions were read."""
    wrong = [
        f"{name}: {found.get(name, 0):,} questions read, its {split.name} split has"
        f" {split.questions:,}"
        for name, split in expected.items()
        if found.get(name, 0) != split.questions
    ]
    wrong += [f"{name}: not one of the paper's sets" for name in found if name not in expected]
    if wrong:
        raise DataError(
            "these are not the paper's questions (data.expect: null reads them all the same)\n"
            + "\n".join(f"  {line}" for line in wrong)
        )
