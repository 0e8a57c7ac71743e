"""Does every artefact still match what it was made from? Walks the provenance under the results."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from searchr2.files import MANIFEST, PROVENANCE, ArtifactError, read_json, verify_manifest
from searchr2.tracking.provenance import code, content_digest


@dataclass(frozen=True)
class Artefact:
    """Something with a provenance: a folder, or a file."""

    path: Path
    made: Mapping[str, Any]

    def problems(self) -> Iterator[str]:
        """What no longer matches, apart from what the artefact rests on."""
        if not self.path.exists():
            yield "is gone"
            return
        if (self.path / MANIFEST).is_file():
            try:
                verify_manifest(self.path, rebuilt_by="make it again")
            except ArtifactError as error:
                yield str(error)
        if content_digest(self.path) != self.made["digest"]:
            yield "has changed since it was made"
        for name, found in self.made["inputs"].items():
            now = content_digest(self.input(name))
            if now != found["digest"]:
                change = "is gone" if now is None else "is another one now"
                yield f"was made from {found['path']}, which {change}"

    def input(self, name: str) -> Path:
        return self.path.parent / str(self.made["inputs"][name]["path"])

    def rests_on(self, others: list[Artefact]) -> Iterator[Artefact]:
        """The artefacts its inputs are, or are part of."""
        for name in self.made["inputs"]:
            read = self.input(name).resolve()
            for other in others:
                path = other.path.resolve()
                if other is not self and (read == path or path in read.parents):
                    yield other


def find_artefacts(results: Path) -> list[Artefact]:
    """Everything under ``results`` that has a provenance."""
    found = []
    for path in sorted(results.rglob(f"*{PROVENANCE}")):
        made = read_json(path)
        folder = path.name == PROVENANCE
        found.append(Artefact(path.parent if folder else path.with_name(made["artefact"]), made))
    return found


def verify(artefacts: list[Artefact]) -> dict[Path, list[str]]:
    """The problems of each artefact that has some, those inherited from its inputs included."""
    problems = {a.path: list(a.problems()) for a in artefacts}
    inherited: dict[Path, list[str]] = {}
    for artefact in artefacts:
        for other in dict.fromkeys(_below(artefact, artefacts)):
            if problems[other]:
                line = f"rests on {other}, which no longer matches"
                inherited.setdefault(artefact.path, []).append(line)
    whole = {path: found + inherited.get(path, []) for path, found in problems.items()}
    return {path: found for path, found in whole.items() if found}


def made_by_other_code(artefacts: list[Artefact]) -> list[Path]:
    """Artefacts that another version of the package made (which need not make them wrong)."""
    return [a.path for a in artefacts if a.made["code"]["digest"] != code()["digest"]]


def _below(artefact: Artefact, artefacts: list[Artefact]) -> Iterator[Path]:
    for other in artefact.rests_on(artefacts):
        yield other.path
        yield from _below(other, artefacts)
