"""Which index the workflow builds: of words for the generated world, for the task as configured."""

import argparse
import shlex

import pytest

from searchr2.cli import index
from searchr2.config import Retrieval

PARTS = ["e5/part_aa", "e5/part_ab"]
CONFIGS = {
    "{kind: bm25, k1: 0.9}": {"kind": "bm25", "k1": 0.9},
    "{kind: dense, encoder: intfloat/e5-base-v2}": {
        "kind": "dense",
        "encoder": "intfloat/e5-base-v2",
        "query_prefix": "query: ",
        "normalise": True,
    },
    "{kind: dense, encoder: my bge, query_prefix: \"it's: \", passage_prefix: '', pooling: cls,"
    " normalise: false, factory: 'IVF4096,PQ64', search_parameters: nprobe=32}": {
        "kind": "dense",
        "encoder": "my bge",
        "query_prefix": "it's: ",
        "passage_prefix": "",
        "pooling": "cls",
        "normalise": False,
        "factory": "IVF4096,PQ64",
        "search_parameters": "nprobe=32",
    },
    f"{{kind: dense, encoder: e5, vectors: {PARTS}}}": {"kind": "dense", "vectors": PARTS},
    "{kind: http, urls: ['http://a:8000', 'http://b:8000'], timeout_s: 5}": {
        "kind": "http",
        "urls": ["http://a:8000", "http://b:8000"],
        "timeout_s": 5.0,
    },
}


def commands(output: str) -> dict[str, Retrieval]:
    """Name of an index -> the settings that its command, as planned, is given."""
    parser = argparse.ArgumentParser()
    index.arguments(parser)
    planned = {}
    for line in output.splitlines():
        _, called, words = line.partition("searchr2 index ")
        if called:
            options = parser.parse_args(shlex.split(words.partition(" &> ")[0]))
            planned[options.out.name] = index.settings(options)
    return planned


@pytest.mark.parametrize(("config", "wanted"), CONFIGS.items(), ids=lambda value: str(value)[:30])
def test_the_tasks_index_is_as_configured_and_the_worlds_of_words(project, config, wanted):
    for part in PARTS:
        (project.folder / part).parent.mkdir(exist_ok=True)
        (project.folder / part).touch()
    (project.folder / "mine.yaml").write_text(f"retrieval: {config}")
    status, output = project.snakemake("-n", "-p", "--configfile", "mine.yaml")
    assert status == 0, output
    planned = commands(output)
    assert planned["world"].kind == "bm25"
    task = planned["task"].model_dump()
    assert {key: task[key] for key in wanted} == wanted


def test_parts_of_a_prebuilt_index_that_are_not_there_are_named_before_any_work(project):
    (project.folder / "mine.yaml").write_text(
        "retrieval: {kind: dense, encoder: e5, vectors: [e5/part_aa]}"
    )
    status, output = project.snakemake("--cores", "1", "--configfile", "mine.yaml")
    assert status == 1
    assert "e5/part_aa" in output
    assert project.calls() == []
