"""The files of the world: one corpus, the questions of seven sets, and what training reads."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from searchr2 import config
from searchr2.files import write_jsonl
from searchr2.randomness import generator, stage_key
from searchr2.world.lands import Land, build
from searchr2.world.relations import Entity
from searchr2.world.rows import rows, shapes

TRAINED_ON = ("nq", "hotpotqa")
"""The sets whose training questions GRPO sees (section 6)."""


def write_world(settings: config.World, out: Path) -> None:
    """Write corpus, questions/<set>, train, validation and demonstrations (.jsonl) under ``out``.

    Raises ``WorldError`` where ``works`` is too small for the questions asked.
    """
    lands = build(settings.seed, settings.works)
    key = stage_key(settings.seed, "world/files")
    train, validation, test = lands
    passages, ids = corpus(lands, generator(*key, 0))

    def mixed(land: Land, sets: tuple[str, ...], count: int, part: int) -> list[dict[str, Any]]:
        made = []
        for index, name in enumerate(sets):
            share = (count + index) // len(sets)
            kinds = shapes(name, settings.hops)
            made += rows(land, name, kinds, share, ids, generator(*key, part, index))
        order = generator(*key, part).permutation(len(made))
        return [made[i] for i in order]

    files = {
        "train": mixed(train, TRAINED_ON, settings.train_questions, 1),
        "validation": mixed(validation, config.SETS, settings.validation_questions, 2),
        "demonstrations": mixed(train, config.SETS, settings.demonstrations, 3),
    }
    for index, name in enumerate(config.SETS):
        files[f"questions/{name}"] = rows(
            test,
            name,
            shapes(name, settings.hops),
            settings.test_questions,
            ids,
            generator(*key, 4, index),
        )
    write_jsonl(out / "corpus.jsonl", passages)
    for file, made in files.items():
        write_jsonl(out / f"{file}.jsonl", made)


def corpus(lands: list[Land], rng: Any) -> tuple[list[dict[str, str]], dict[Entity, str]]:
    """Passages in the wiki-18 layout, lands mixed, and each entity's passage id."""
    facts = [(entity, facts) for land in lands for entity, facts in land.facts.items()]
    passages, ids = [], {}
    for number, index in enumerate(rng.permutation(len(facts))):
        entity, of_entity = facts[index]
        ids[entity] = f"w{number:05d}"
        text = " ".join(fact.sentence for fact in of_entity)
        passages.append({"id": ids[entity], "contents": f'"{entity.title}"\n{text}'})
    return passages, ids
