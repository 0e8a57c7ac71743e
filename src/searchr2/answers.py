"""Exact match, F1 and sub-EM after SQuAD's normalisation.

The normaliser is the one Search-R1, verl, FlashRAG and Tinker share: lower case, ASCII punctuation
out, the articles a / an / the out, white space folded. Every score is the maximum over the gold
answers.
"""

from __future__ import annotations

import re
import string
from collections import Counter
from collections.abc import Callable, Sequence

_ARTICLES = re.compile(r"\b(a|an|the)\b")
_PUNCTUATION = str.maketrans("", "", string.punctuation)


def normalise(text: str) -> str:
    """SQuAD's normal form: ``normalise("The  Eiffel-Tower!") == "eiffeltower"``."""
    return " ".join(_ARTICLES.sub(" ", text.lower().translate(_PUNCTUATION)).split())


def exact_match(prediction: str | None, golds: Sequence[str]) -> float:
    """1.0 where the prediction equals a gold answer in normal form, else (or without one) 0.0."""
    return _best(prediction, golds, lambda p, g: float(p == g))


def sub_em(prediction: str | None, golds: Sequence[str]) -> float:
    """1.0 where a gold answer stands inside the prediction (FlashRAG's "acc").

    A gold answer that normalises to nothing matches nothing, instead of everything.
    """
    return _best(prediction, golds, lambda p, g: float(bool(g) and g in p))


def f1(prediction: str | None, golds: Sequence[str]) -> float:
    """Bag-of-words F1: ``f1("x y", ["y z"]) == 0.5``."""
    return _best(prediction, golds, _token_f1)


def _best(
    prediction: str | None, golds: Sequence[str], score: Callable[[str, str], float]
) -> float:
    if prediction is None:
        return 0.0
    normal = normalise(prediction)
    return max((score(normal, normalise(gold)) for gold in golds), default=0.0)


def _token_f1(prediction: str, gold: str) -> float:
    common = (Counter(prediction.split()) & Counter(gold.split())).total()
    if not common:
        return 0.0
    precision, recall = common / len(prediction.split()), common / len(gold.split())
    return 2 * precision * recall / (precision + recall)
