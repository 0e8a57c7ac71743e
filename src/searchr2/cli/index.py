"""Build a retrieval index over a corpus.

bm25    words: needs the corpus alone
dense   vectors of a sentence encoder in a FAISS index, by E5's conventions unless told otherwise.
        Cut off, the same command goes on where it was; `searchr2 encode` lets others help.
        With --vectors the vectors are not computed but taken from a FAISS index of the same corpus,
        whole or in parts, as wiki-18's e5_Flat.index is distributed in
http    no index: the folder names servers (`searchr2 serve`, Search-R1's, ...) that have one

The corpus is JSON lines of {"id": ..., "contents": "\\"Title\\"\\ntext"}, which the index links to,
or whatever else docs/data.md has, which is written into the index as such. The index folder appears
whole or not at all.

examples:
  searchr2 index --corpus results/world/corpus.jsonl --kind bm25 --out results/index/world
  searchr2 index --corpus wiki-18.jsonl --kind dense --encoder intfloat/e5-base-v2 \\
      --out indexes/wiki-18
  searchr2 index --corpus wiki-18.jsonl --kind dense --encoder intfloat/e5-base-v2 \\
      --vectors part_aa part_ab --factory SQ8 --out indexes/wiki-18-sq8
  searchr2 index --kind http --urls http://127.0.0.1:8000/retrieve --out results/index/task
"""

from __future__ import annotations

import argparse
from pathlib import Path

from searchr2.config import ConfigError, Encoding, Remote, Retrieval, load


def arguments(parser: argparse.ArgumentParser) -> None:
    default = Retrieval()
    parser.add_argument("--corpus", type=Path, help="passages (not for http)")
    parser.add_argument("--kind", choices=["bm25", "dense", "http"], default=default.kind)
    parser.add_argument(
        "--out", type=Path, required=True, help="the index folder; replaced if there"
    )
    bm25 = parser.add_argument_group("bm25")
    bm25.add_argument("--k1", type=float, default=default.k1, help="saturation (%(default)s)")
    bm25.add_argument("--b", type=float, default=default.b, help="length (%(default)s)")
    encoding_arguments(parser)
    dense = parser.add_argument_group("dense, the index")
    dense.add_argument(
        "--factory", default=default.factory, help="as FAISS names it: Flat, SQ8, IVF4096,PQ64"
    )
    dense.add_argument(
        "--search-parameters", default="", help="FAISS's own: nprobe=32 (IVF), efSearch=128 (HNSW)"
    )
    dense.add_argument(
        "--vectors", nargs="+", default=[], help="a FAISS index of this corpus, or parts"
    )
    http = parser.add_argument_group("http")
    http.add_argument("--urls", nargs="+", default=[], help="addresses of the same index")
    for name, kind, what in (
        ("timeout_s", float, "seconds of one request"),
        ("deadline_s", float, "seconds of a search, with what is tried again"),
        ("retries", int, "times that each address is tried again"),
    ):
        value = getattr(default, name)
        http.add_argument(option_of(name), type=kind, default=value, help=f"{what} (%(default)s)")


def encoding_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of ``config.Encoding``."""
    default = Encoding()
    dense = parser.add_argument_group("dense, the encoding (defaults: E5's)")
    dense.add_argument("--encoder", help="folder or hub id of a sentence encoder")
    for name in ("query_prefix", "passage_prefix"):
        dense.add_argument(option_of(name), default=getattr(default, name), help="(%(default)r)")
    dense.add_argument("--pooling", choices=["mean", "cls", "pooler"], default=default.pooling)
    dense.add_argument(
        "--normalise", action=argparse.BooleanOptionalAction, default=default.normalise
    )
    for name in ("query_tokens", "passage_tokens"):
        value = getattr(default, name)
        dense.add_argument(option_of(name), type=int, default=value, help="(%(default)s)")


def option_of(name: str) -> str:
    return "--" + name.replace("_", "-")


def settings(options: argparse.Namespace) -> Retrieval:
    """The section ``retrieval`` that the options are."""
    given = {name: getattr(options, name, None) for name in Retrieval.model_fields}
    return load(Retrieval, {k: v for k, v in given.items() if v is not None}, "options")


def run(options: argparse.Namespace) -> None:
    from searchr2.tracking.provenance import made

    chosen = settings(options)
    ours = {"bm25": {"k1", "b"}, "http": set(Remote.model_fields)}
    dense = {*Encoding.model_fields, "factory", "search_parameters", "vectors"}
    config = chosen.model_dump(include={"kind", *ours.get(chosen.kind, dense)})
    if chosen.kind == "http":
        from searchr2.retrieval.client import write

        with made(options.out, stage="index", config=config, inputs={}):
            write(options.out, chosen.remote())
        print(f"{options.out}: searches are sent to {', '.join(chosen.urls)}")
        return
    if options.corpus is None:
        raise ConfigError(f"--corpus: an index of kind {chosen.kind} is built over one")
    refuse_within(options.out, options.corpus)
    inputs = {"corpus": options.corpus} | {path: Path(path) for path in chosen.vectors}
    with made(options.out, stage="index", config=config, inputs=inputs):
        count = build(options.corpus, chosen, options.out)
    print(f"{options.out}: {count} passages")


def refuse_within(out: Path, corpus: Path) -> None:
    """Raise ``ConfigError`` where ``corpus`` stands in the folder that is written."""
    places = (corpus.parent.resolve() / corpus.name, corpus.resolve())  # of a link, both its ends
    if any(out.resolve() in place.parents for place in places):
        raise ConfigError(f"--corpus: {corpus} stands in --out, which is written anew; move it")


def build(corpus: Path, chosen: Retrieval, out: Path) -> int:
    """Build an index over a corpus; returns the number of passages."""
    if chosen.kind == "bm25":
        from searchr2.retrieval import bm25

        return bm25.build(out, corpus, chosen.k1, chosen.b)
    from searchr2.build import quiet
    from searchr2.retrieval import building

    quiet()
    make = building.adopt if chosen.vectors else building.build
    return make(out, corpus, chosen)
