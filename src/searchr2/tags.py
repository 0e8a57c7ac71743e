"""The text format of a trajectory (Table 1) and how an action is read from it.

Only text that the policy wrote in ONE turn is ever parsed, so nothing a passage contains can act.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

THINK = ("<think>", "</think>")
SEARCH = ("<search>", "</search>")
INFORMATION = ("<information>", "</information>")
ANSWER = ("<answer>", "</answer>")
ALL_TAGS = (*THINK, *SEARCH, *INFORMATION, *ANSWER)

STOPS = (SEARCH[1], ANSWER[1])
"""Generation halts where one of these is completed, or at end-of-sequence (Algorithm 2)."""


@dataclass(frozen=True, slots=True)
class Action:
    kind: Literal["search", "answer", "none"]
    content: str = ""


def parse(text: str) -> Action:
    """The action of one turn: what its first closing tag and the opening one before it enclose.

    ``parse("<think> a </think><search> b </search>")`` is a search for ``b``. A closing tag without
    an opening one, an empty query, or no closing tag at all is no action; an empty answer is an
    answer.
    """
    closing = (("search", SEARCH[1]), ("answer", ANSWER[1]))
    ends = [(text.find(tag), kind) for kind, tag in closing]
    ends = [(at, kind) for at, kind in ends if at >= 0]
    if not ends:
        return Action("none")
    end, kind = min(ends)
    opening = SEARCH[0] if kind == "search" else ANSWER[0]
    start = text.rfind(opening, 0, end)
    content = text[start + len(opening) : end].strip() if start >= 0 else ""
    if kind == "answer" and start >= 0:
        return Action("answer", content)
    return Action("search", content) if content else Action("none")
