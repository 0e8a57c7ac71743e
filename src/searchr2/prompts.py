"""Prompt templates, and how they become ids piece by piece.

Templates are text files with ``{placeholders}``; a folder of the user's own replaces the shipped
sets. Literal text is encoded as ours (special tokens recognised), values as foreign (special tokens
split), and spans are spliced in as the ids they are.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from searchr2.config import ConfigError, Prompts
from searchr2.ports import Codec
from searchr2.tags import INFORMATION
from searchr2.trajectory import Author, Collection, Span, Trajectory

TEMPLATES = {
    "actor": {"question"},
    "direct": {"question"},
    "rag": {"question", "documents"},
    "document": {"rank", "title", "text"},
    "refiner": {"question", "steps"},
    "refiner_step": {"number", "action", "observation"},
}
"""Template files (``<name>.txt``) and the placeholders each must have or may leave out."""

_PLACEHOLDER = re.compile(r"\{(\w+)\}")
Value = str | tuple[int, ...]


@dataclass(frozen=True)
class PromptBook:
    """The templates of one set, and the codec that encodes them."""

    templates: Mapping[str, str]
    codec: Codec
    chat: tuple[str, str] = ("", "")
    """What the chat template puts before and after a user turn; empty for base models."""

    def actor(self, question: str) -> Span:
        """The Actor's prompt: states the format and nothing about content (section 3.1)."""
        return self._prompt("actor", {"question": question})

    def direct(self, question: str) -> Span:
        return self._prompt("direct", {"question": question})

    def rag(self, question: str, documents: Collection, max_document_tokens: int) -> Span:
        shown = self.documents(documents, max_document_tokens)
        return self._prompt("rag", {"question": question, "documents": shown})

    def refiner(self, question: str, trajectory: Trajectory) -> Span:
        """The Meta-Refiner's prompt (Appendix L): question, numbered steps with their outputs."""
        steps: list[int] = []
        for number, step in enumerate(trajectory.steps, start=1):
            values: dict[str, Value] = {"number": str(number), "action": step.action.ids}
            values["observation"] = step.observation.ids if step.observation else ()
            steps.extend(self.render("refiner_step", values))
        return self._prompt("refiner", {"question": question, "steps": tuple(steps)})

    def observation(self, documents: Collection, max_document_tokens: int) -> Span:
        """What the environment answers to a search: the passages between information tags."""
        ids = (
            *self.codec.template("\n" + INFORMATION[0]),
            *self.documents(documents, max_document_tokens),
            *self.codec.template(INFORMATION[1] + "\n"),
        )
        return Span(Author.ENVIRONMENT, ids)

    def documents(self, documents: Collection, max_tokens: int) -> tuple[int, ...]:
        """Passages as ids, each cut to ``max_tokens`` of its text: no closing tag is ever lost."""
        ids: list[int] = []
        for rank, document in enumerate(documents, start=1):
            text = self.codec.text(" " + document.text)[:max_tokens]
            values: dict[str, Value] = {"rank": str(rank), "title": document.title, "text": text}
            ids.extend(self.render("document", values))
        return tuple(ids)

    def render(self, name: str, values: Mapping[str, Value]) -> tuple[int, ...]:
        """The ids of a template with its placeholders filled.

        A space before a placeholder belongs to the value: BPE vocabularies write words with their
        leading space.
        """
        ids: list[int] = []
        pieces = _PLACEHOLDER.split(self.templates[name])
        for literal, placeholder in zip(pieces[::2], [*pieces[1::2], None], strict=True):
            value = values[placeholder] if placeholder is not None else ()
            spaced = placeholder is not None and literal.endswith(" ")
            ids.extend(self.codec.template(literal[:-1] if spaced else literal))
            ids.extend(self.codec.text(" " * spaced + value) if isinstance(value, str) else value)
        return tuple(ids)

    def _prompt(self, name: str, values: Mapping[str, Value]) -> Span:
        before, after = (self.codec.template(part) for part in self.chat)
        return Span(Author.PROMPT, (*before, *self.render(name, values), *after))


def load_prompts(settings: Prompts, codec: Codec) -> PromptBook:
    """The prompt book of a config section; ``ConfigError`` names a file or placeholder amiss."""
    shipped = resources.files("searchr2") / "prompts" / settings.templates
    folder = shipped if shipped.is_dir() else Path(settings.templates)
    templates = {}
    for name, allowed in TEMPLATES.items():
        file = folder / f"{name}.txt"
        if not file.is_file():
            raise ConfigError(f"prompts.templates: {file} does not exist")
        templates[name] = file.read_text(encoding="utf-8").removesuffix("\n")
        unknown = set(_PLACEHOLDER.findall(templates[name])) - allowed
        if unknown:
            raise ConfigError(
                f"{file}: unknown placeholder {{{min(unknown)}}}; known: {sorted(allowed)}"
            )
    return PromptBook(templates, codec, codec.chat() if settings.chat else ("", ""))
