"""The task's passages and questions, checked and split: the world's files, or a user's own."""

from __future__ import annotations

import shutil
from pathlib import Path

from searchr2.config import SETS, ConfigError, Data
from searchr2.corpus import read_corpus
from searchr2.files import write_jsonl
from searchr2.progress import bar
from searchr2.questions import question_row, read_questions
from searchr2.randomness import generator, stage_key
from searchr2.trajectory import Question


def prepare(settings: Data, world: Path, out: Path) -> None:
    """Write corpus, questions/<set>, train and validation (.jsonl) under ``out``.

    A user's corpus is checked and linked to, not copied. Raises ``DataError`` (file, line, reason)
    at a row that cannot be used, ``ConfigError`` where ``validation`` leaves nothing to train on.
    """
    if settings.corpus is None:
        out.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(world / "corpus.jsonl", out / "corpus.jsonl")
    else:
        _link_corpus(Path(settings.corpus), out / "corpus.jsonl")
    files = {name: world / "questions" / f"{name}.jsonl" for name in SETS}
    if settings.questions is not None:
        files = {str(name): Path(file) for name, file in settings.questions.items()}
    for name, file in files.items():
        chosen = read_questions(file, name)[: settings.max_questions]
        _write(out / "questions" / f"{name}.jsonl", chosen)
    if settings.train is None:
        train, held_out = (read_questions(world / f"{n}.jsonl") for n in ("train", "validation"))
    else:
        train, held_out = _split(settings.train, settings.validation)
    _write(out / "train.jsonl", train)
    _write(out / "validation.jsonl", held_out)


def _split(files: list[str], held_out: int) -> tuple[list[Question], list[Question]]:
    """The union of ``files``, shuffled: all but its last ``held_out`` rows, and these."""
    union = [question for file in files for question in read_questions(Path(file))]
    if len(union) <= held_out:
        raise ConfigError(
            f"data.validation: {held_out} of {len(union)} rows held out leave none to train on"
        )
    order = generator(*stage_key(0, "data/split")).permutation(len(union))
    shuffled = [union[i] for i in order]
    return shuffled[:-held_out], shuffled[-held_out:]


def _write(path: Path, questions: list[Question]) -> None:
    write_jsonl(path, map(question_row, questions))


def _link_corpus(source: Path, link: Path) -> None:
    with bar(source.stat().st_size if source.is_file() else 0, "checking the corpus", "B") as shown:
        for passage in read_corpus(source):
            shown.update(len(passage.title.encode()) + len(passage.text.encode()))
    link.parent.mkdir(parents=True, exist_ok=True)
    link.unlink(missing_ok=True)
    link.symlink_to(source.resolve())
