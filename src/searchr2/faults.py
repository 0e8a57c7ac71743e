"""Where a trajectory first went wrong, by gold evidence: a label to learn from, and an oracle.

A right answer has no flaw. Otherwise the first search that brought no new supporting title is the
flawed step; where every search brought one, it is the last step, which read or stopped wrongly.
"""

from __future__ import annotations

from searchr2.answers import exact_match
from searchr2.files import UserError
from searchr2.trajectory import Question, Trajectory


def first_flaw(question: Question, y: Trajectory) -> int:
    """The number of the first flawed step of ``y``, 0 where its answer is right.

    Raises ``UserError`` where the question names no supporting titles.
    """
    if exact_match(y.answer, question.golden_answers):
        return 0
    if question.supporting_titles is None:
        raise UserError(
            f"question {question.id!r} of {question.dataset} names no supporting titles, so its "
            "trajectories cannot be judged by gold evidence"
        )
    missing = set(question.supporting_titles)
    for number, step in enumerate(y.steps, start=1):
        found = missing & {document.title for document in step.documents}
        if step.searched and not found:
            return number
        missing -= found
    return len(y.steps)
