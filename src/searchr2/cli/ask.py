"""Ask a trained run your own question and watch it think, search and answer.

With --refine the Meta-Refiner judges the draft as well: you see its verdict, where it cuts, and the
repair.

examples:
  searchr2 ask "What company is the employer of the star of the film Tamkas Gorlan?" --run search-r2
  searchr2 ask "..." --checkpoint results/train/search-r2/seed1 --index results/index/task --refine
"""

from __future__ import annotations

import argparse
from collections.abc import Generator
from pathlib import Path
from typing import Any

from searchr2.cli.paint import paint
from searchr2.config import ConfigError, EvaluateConfig, load
from searchr2.trajectory import Question, Trace


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("question")
    parser.add_argument("--run", help="a name in `runs:`, or base; needs the workflow's results")
    parser.add_argument("--seed", type=int, default=1, help="which seed of the run (default 1)")
    parser.add_argument("--results", type=Path, default=Path("results"), help="the results folder")
    parser.add_argument("--checkpoint", help="instead of --run: a run's or model's folder")
    parser.add_argument("--index", type=Path, help="index folder (default: the workflow's)")
    parser.add_argument("--config", type=Path, help="settings (JSON; default: the run's own)")
    parser.add_argument("--refine", action="store_true", help="let the Meta-Refiner work as well")
    parser.add_argument("--temperature", type=float, default=0.0, help="of drafts (0: greedy)")


def run(options: argparse.Namespace) -> None:
    from searchr2.actor import Actor
    from searchr2.build import load_model, load_retriever, make_engine, quiet, weights_folder
    from searchr2.codec import Codec
    from searchr2.driver import drive
    from searchr2.engines.weights import Fixed
    from searchr2.prompts import load_prompts
    from searchr2.randomness import stage_key
    from searchr2.refiner import MetaRefiner

    quiet()
    if not options.checkpoint and not options.run:
        raise ConfigError("say whom to ask: --run NAME or --checkpoint DIR")
    checkpoint = Path(options.checkpoint or _folder(options))
    weights = weights_folder(str(checkpoint), "`snakemake --cores all` makes it")
    settings = _settings(options, checkpoint)
    revisions = max(1, settings.refiner.max_revisions) if options.refine else 0
    codec = Codec.load(weights)
    actor = Actor(load_prompts(settings.prompts, codec), settings.rollout, options.temperature)
    refiner = MetaRefiner(actor, settings.refiner.model_copy(update={"max_revisions": revisions}))
    question = Question("ask", "ask", options.question, ())
    procedure = refiner.roll_out(question, stage_key(0, "ask"))
    index = options.index or options.results / "index" / "task"
    print(paint("question", options.question))
    [trace] = drive(
        [narrate(procedure, codec)],
        make_engine(settings.engine, codec, lambda: load_model(weights), Fixed(weights)),
        load_retriever(index),
        settings.retrieval.k,
    )
    print(paint("answer", trace.final.answer or "(none)"))


def narrate(procedure: Any, codec: Any) -> Generator[Any, Any, Trace]:
    """The same procedure, printing what it asks for and is told as it goes."""
    from searchr2.ports import Generate, Score, Search

    request, reply = None, None
    while True:
        judged = isinstance(request, Score)
        try:
            request = procedure.send(reply)
        except StopIteration as end:
            trace: Trace = end.value
            if judged:
                print(paint("refiner", "accepted"))
            return trace
        if judged and isinstance(request, Generate):
            step = request.key[-1] + 1  # a turn's key ends in its number
            print(paint("refiner", f"rejected: written again from step {step}"))
        reply = yield request
        if isinstance(request, Generate):
            print(paint("actor", codec.decode(reply.ids).strip()))
        elif isinstance(request, Search):
            for rank, found in enumerate(reply, start=1):
                print(paint("evidence", f"{rank}. {found.title}: {found.text}"))
            if not reply:
                print(paint("evidence", "nothing found"))
        elif isinstance(request, Score):
            print(paint("refiner", verdict_line(reply)))


def verdict_line(reply: Any) -> str:
    """p(accept) and p(step i is the first flawed one), as the Meta-Refiner weighed them."""
    from searchr2.refiner import softmax

    accept, *flawed = softmax([sum(logprobs) for logprobs in reply])
    steps = ", ".join(f"step {i} {p:.0%}" for i, p in enumerate(flawed, start=1))
    return f"accept {accept:.0%}; flawed: {steps}"


def _folder(options: argparse.Namespace) -> Path:
    if options.run == "base":
        return Path(options.results, "base")
    return Path(options.results, "train", options.run, f"seed{options.seed}")


def _settings(options: argparse.Namespace, checkpoint: Path) -> EvaluateConfig:
    """The sections ``ask`` reads: from --config, or as the run was trained, or the defaults.

    The servers that a run was trained with are not asked, unless --config names them.
    """
    from searchr2.files import read_json

    if options.config:
        return load(EvaluateConfig, read_json(options.config), options.config)
    record = checkpoint / "run.json"
    config = read_json(record)["config"] if record.is_file() else {}
    known = {key: config[key] for key in EvaluateConfig.model_fields if key in config}
    known.pop("engine", None)
    if "retrieval_k" in config:  # what a training run keeps of that section
        known["retrieval"] = {"k": config["retrieval_k"]}
    return load(EvaluateConfig, known, record)
