"""The judge that knows the gold supporting titles: no model, no draw, the default."""

from __future__ import annotations

from collections.abc import Sequence

from searchr2.trajectory import Collection, Question


class EvidenceJudge:
    """ports.Judge by gold supporting titles: a collection counts when it brings NEW evidence.

    Irrelevant collections and those that only repeat earlier ones count nothing, as in Appendix K.
    No verdict (``None``) where the data set names no supporting titles.
    """

    def count(self, items: Sequence[tuple[Question, tuple[Collection, ...]]]) -> list[int | None]:
        return [self._useful(question, collections) for question, collections in items]

    def _useful(self, question: Question, collections: tuple[Collection, ...]) -> int | None:
        if question.supporting_titles is None:
            return None
        missing = set(question.supporting_titles)
        useful = 0
        for collection in collections:
            new = missing & {document.title for document in collection}
            useful += bool(new)
            missing -= new
        return useful
