"""Prompt templates, and how they become ids piece by piece.

Templates are text files with ``{placeholders}``; a folder of the user's own replaces the shipped
sets. Literal text is encoded as ours (special tokens recognised), values as foreign (special tokens
split), and spans are spliced in as the ids they are.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import TypeVar

from searchr2.config import ConfigError, Prompts
from searchr2.ports import Codec
from searchr2.tags import INFORMATION
from searchr2.trajectory import Author, Collection, Span, Trajectory, unended

TEMPLATES = {
    "actor": {"question"},
    "direct": {"question"},
    "cot": {"question"},
    "rag": {"question", "documents"},
    "ircot": {"question", "documents"},
    "note": {"reasoning", "query", "documents"},
    "document": {"rank", "title", "text"},
    "refiner": {"question", "steps"},
    "refiner_step": {"number", "action", "observation"},
}
"""Template files (``<name>.txt``) and the placeholders each must have or may leave out."""

_PLACEHOLDER = re.compile(r"\{(\w+)\}")
Value = str | tuple[int, ...]
V = TypeVar("V")


@dataclass(frozen=True)
class PromptBook:
    """The templates of one set, and the codec that encodes them."""

    templates: Mapping[str, str]
    codec: Codec
    chat: tuple[str, str] = ("", "")
    """What stands before and after a prompt: of the chat template, nothing for base models."""
    terse: tuple[str, str] = ("", "")
    """The same where the reply is to come without thoughts: a verdict above all is one integer."""

    def actor(self, question: str) -> Span:
        """The Actor's prompt: states the format and nothing about content (section 3.1)."""
        return self._prompt("actor", {"question": question}, self.chat)

    def direct(self, question: str) -> Span:
        return self._prompt("direct", {"question": question}, self.terse)

    def cot(self, question: str) -> Span:
        return self._prompt("cot", {"question": question}, self.chat)

    def rag(self, question: str, documents: Collection, max_document_tokens: int) -> Span:
        shown = self.documents(documents, max_document_tokens)
        return self._prompt("rag", {"question": question, "documents": shown}, self.terse)

    def ircot(self, question: str, documents: Collection, max_document_tokens: int) -> Span:
        shown = self.documents(documents, max_document_tokens)
        return self._prompt("ircot", {"question": question, "documents": shown}, self.chat)

    def note(
        self, reasoning: str, query: str, documents: Collection, max_document_tokens: int
    ) -> Span:
        """Search-o1's reason-in-documents: what do the passages say to the query?"""
        shown = self.documents(documents, max_document_tokens)
        values: dict[str, Value] = {"reasoning": reasoning, "query": query, "documents": shown}
        return self._prompt("note", values, self.terse)

    def refiner(self, question: str, trajectory: Trajectory) -> Span:
        """The Meta-Refiner's prompt (Appendix L): question, numbered steps with their outputs."""
        steps: list[int] = []
        for number, step in enumerate(trajectory.steps, start=1):
            action = unended(step.action.ids, self.codec.eos_id)  # it would end this prompt too
            values: dict[str, Value] = {"number": str(number), "action": action}
            values["observation"] = step.observation.ids if step.observation else ()
            steps.extend(self.render("refiner_step", values))
        values = {"question": question, "steps": tuple(steps)}
        return self._prompt("refiner", values, self.terse)

    def observation(self, documents: Collection, max_document_tokens: int) -> Span:
        """What the environment answers to a search: the passages between information tags."""
        return self.information(self.documents(documents, max_document_tokens))

    def information(self, ids: tuple[int, ...]) -> Span:
        """``ids`` between information tags."""
        before, after = (
            self.codec.template(tag) for tag in ("\n" + INFORMATION[0], INFORMATION[1] + "\n")
        )
        return Span(Author.ENVIRONMENT, (*before, *ids, *after))

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
        for value, ours in fill(self.templates[name], values):
            encode = self.codec.template if ours else self.codec.text
            ids.extend(encode(value) if isinstance(value, str) else value)
        return tuple(ids)

    def _prompt(self, name: str, values: Mapping[str, Value], around: tuple[str, str]) -> Span:
        before, after = (self.codec.template(part) for part in around)
        return Span(Author.PROMPT, (*before, *self.render(name, values), *after))


def fill(template: str, values: Mapping[str, str | V]) -> Iterator[tuple[str | V, bool]]:
    """The pieces of a template with its placeholders filled: (literal, True) and (value, False)."""
    parts = _PLACEHOLDER.split(template)
    for literal, placeholder in zip(parts[::2], [*parts[1::2], None], strict=True):
        spaced = placeholder is not None and literal.endswith(" ")
        yield (literal[:-1] if spaced else literal), True
        if placeholder is not None:
            value = values[placeholder]
            yield (" " * spaced + value if isinstance(value, str) else value), False


def load_prompts(settings: Prompts, codec: Codec) -> PromptBook:
    """The prompt book of a config section; ``ConfigError`` names a file or placeholder amiss."""
    templates = read_templates(settings.templates, TEMPLATES, "prompts.templates")
    if not settings.chat:
        plain = (codec.opening(), "")
        return PromptBook(templates, codec, plain, plain)
    return PromptBook(templates, codec, codec.chat(), codec.chat(thinking=False))


def read_templates(name: str, wanted: Mapping[str, set[str]], key: str) -> dict[str, str]:
    """The ``wanted`` templates (name -> placeholders) of a shipped set or a folder.

    Raises ``ConfigError`` naming a file or placeholder amiss, and ``key``, the setting it is from.
    """
    shipped = resources.files("searchr2") / "prompts" / name
    folder = shipped if shipped.is_dir() else Path(name)
    templates = {}
    for template, allowed in wanted.items():
        file = folder / f"{template}.txt"
        if not file.is_file():
            raise ConfigError(f"{key}: {file} does not exist")
        templates[template] = file.read_text(encoding="utf-8").removesuffix("\n")
        unknown = set(_PLACEHOLDER.findall(templates[template])) - allowed
        if unknown:
            raise ConfigError(
                f"{file}: unknown placeholder {{{min(unknown)}}}; known: {sorted(allowed)}"
            )
    return templates
