"""The config: checked before any work, then written out as one small file for each stage."""

import difflib
import json
import re
from copy import deepcopy
from pathlib import Path

from jsonschema import Draft202012Validator
from snakemake.exceptions import WorkflowError
from snakemake.utils import update_config

SCHEMA = json.loads(Path(workflow.source_path("../schema/config.schema.json")).read_text())
OVERRIDABLE, OF_ROWS = (
    [key for key, of in SCHEMA["$defs"][kind]["properties"].items() if of.get("type") == "object"]
    for kind in ("Run", "Row")
)
"""The sections a run may differ in, and a row from its checkpoint."""
JUDGE_NEEDS = {"local": ("model",), "http": ("url", "model")}
INDEX_NEEDS = {"dense": "encoder", "http": "urls"}
OWN = ("corpus", "questions", "train")
"""The files of one's own that stand in the generated world's place."""
OTHERS = ("comparison", "retrieval", "table_gains", "table_quality", "table_step_time")
"""What the workflow writes besides the tables of the config."""
NAME = r"[A-Za-z0-9][A-Za-z0-9._-]*"


def problems(settings, prefix=()):
    """A line for each wrong setting: its place, what is wrong and, of a name, the nearest right one."""
    for error in Draft202012Validator(SCHEMA).iter_errors(settings):
        cause = error.context[0] if error.context else error
        place = [*prefix, *map(str, cause.absolute_path)]
        if cause.validator != "additionalProperties":
            power = re.fullmatch(r"(\d+)(e-?\d+)", str(cause.instance))
            hint = f"; YAML reads that as text, write {power[1]}.0{power[2]}" if power else ""
            yield f"{'.'.join(place)}: {cause.message}{hint}"
            continue
        known = cause.schema["properties"]
        for key in [key for key in cause.instance if key not in known]:
            near = difflib.get_close_matches(key, known, 1) or [f"one of {', '.join(known)}"]
            yield f"{'.'.join([*place, key])}: no such setting; did you mean {near[0]}?"


def check(config):
    """Stop before any work where a setting is wrong, a name leads nowhere or a file is absent."""
    wrong = [*problems(config)]
    if not wrong:  # the rest relies on the kinds of settings
        for found in differing, names, over_steps, measurements, absences, needs:
            wrong += found(config)
    if wrong:
        raise WorkflowError("\n".join(f"config: {line}" for line in wrong))


def differing(config):
    """Wrong settings in which a run differs, or a row from its checkpoint."""
    for place, keys in ("runs", OVERRIDABLE), ("rows", OF_ROWS):
        for name, of in config.get(place, {}).items():
            yield from problems({key: of[key] for key in keys if key in of}, [place, name])


def names(config):
    """Names that cannot be, or that lead nowhere."""
    runs, rows, tables = (config.get(key, {}) for key in ("runs", "rows", "tables"))
    for name in [*runs, *rows, *tables]:
        if not re.fullmatch(NAME, name) or (name in MODELS and name in runs):
            yield f"{name!r} cannot name a run, a row or a table"
    for name in [name for name in tables if name in OTHERS]:
        yield f"tables.{name}: the workflow writes {name}.csv itself; take another name"
    for name, run in runs.items():
        if (start := run.get("start", "base")) not in {*MODELS, *runs} - {name}:
            yield f"runs.{name}.start: {start!r} is not base, instruct or another run"
    for name, row in rows.items():
        if (of := row.get("checkpoint", "base")) not in {*MODELS, *runs}:
            yield f"rows.{name}.checkpoint: {of!r} is not in runs"
    named = {
        f"tables.{name}": [
            *table["rows"],
            *(row.partition("@")[0] for row in sum(table.get("compare", []), [])),
        ]
        for name, table in tables.items()
    } | {"quality.rows": config.get("quality", {}).get("rows") or []}
    for place, used in named.items():
        for name in [name for name in dict.fromkeys(used) if name not in rows]:
            yield f"{place}: {name!r} is not in rows"
    for name in (config.get("step_time") or {}).get("runs", []):
        if name not in runs:
            yield f"step_time.runs: {name!r} is not in runs"


def over_steps(config):
    """Tables over steps of what has none."""
    runs, rows, tables = (config.get(key, {}) for key in ("runs", "rows", "tables"))
    trained = {run: of.get("kind", "grpo") for run, of in runs.items() if not of.get("model")}
    for name in [name for name, table in tables.items() if table.get("over_steps")]:
        kinds = {
            row: trained.get(rows.get(row, {}).get("checkpoint")) for row in tables[name]["rows"]
        }
        for row in [row for row, kind in kinds.items() if not kind]:
            yield f"tables.{name}: over_steps, and {row!r} is of no run that is trained here"
        if "grpo" not in kinds.values():
            yield f"tables.{name}: over_steps, and no row is of a GRPO run"


def measurements(config):
    """A run whose gain cannot be measured."""
    runs, run = config.get("runs", {}), config.get("gains", {}).get("run", "")
    if run and run not in runs:
        yield f"gains.run: {run!r} is not in runs"
    elif {**config.get("refiner", {}), **runs.get(run, {}).get("refiner", {})}.get("oracle"):
        yield f"gains.run: {run!r} has an oracle: not the Meta-Refiner's own verdicts"


def absences(config):
    """The user's own files that are not there: Snakemake misses none whose product is."""
    data, search = config.get("data", {}), config.get("retrieval", {})
    given = [key for key in OWN if data.get(key)]
    if given and len(given) < len(OWN):
        yield f"data: {', '.join(OWN)} go together; there is only {', '.join(given)}"
    vectors = search.get("vectors", []) if search.get("kind") == "dense" else []
    for path in [*files(data), *vectors]:
        if not Path(path).exists():
            yield f"{path}: no such file"


def files(data):
    """The user's own files that the data stage reads, of the section ``data``."""
    corpus, questions, train = (data.get(key) for key in OWN)
    return [*([corpus] if corpus else []), *(questions or {}).values(), *(train or [])]


def needs(config):
    """What an adapter cannot be without, and what must not stand in a config."""
    engine, search = config.get("engine", {}), config.get("retrieval", {})
    if engine.get("kind", "local") != "local" and not engine.get("urls"):
        yield f"engine.urls: an engine of kind {engine['kind']} needs it"
    if (needed := INDEX_NEEDS.get(search.get("kind"))) and not search.get(needed):
        yield f"retrieval.{needed}: retrieval of kind {search['kind']} needs it"
    for place, judge in judges(config):
        for key in JUDGE_NEEDS.get(judge.get("kind"), ()):
            if not judge.get(key):
                yield f"{place}: a judge of kind {judge['kind']} needs {key}"
    if re.search("://[^/].*@", config.get("tracking", {}).get("uri") or ""):  # never printed
        yield (
            "tracking.uri: a user name or password here would be kept with the results; leave it"
            " out and set the variables MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD"
        )


def judges(config):
    """Each judge as far as the config tells it, with its place."""
    reward, quality = config.get("judge", {}), config.get("quality", {})
    yield "judge", reward
    yield "quality.judge", quality.get("judge", {})
    for name, run in config.get("runs", {}).items():
        yield f"runs.{name}.judge", {**reward, **run.get("judge", {})} if "judge" in run else {}


def pick(settings, *keys):
    return {key: settings[key] for key in keys}


def of_run(config, run):
    """The settings of ``run``: the config's own with the run's changes; of a model, the config's."""
    settings = deepcopy(dict(config))
    if run not in MODELS:
        update_config(settings, pick(config["runs"][run], *OVERRIDABLE))
    return settings


def stages(config):
    """Yield (stage, what it consumes and nothing else): it reruns when just that changes."""
    yield "world", pick(config, "world")
    yield "data", pick(config, "data")
    for stage in MODELS:
        yield stage, {
            "stage": stage,
            "lessons": config[stage],
            "model": {k: v for k, v in config["model"].items() if k not in ("path", "instruct")},
            "retrieval": pick(config["retrieval"], "k"),
            **pick(config, "prompts", "rollout", "deepspeed"),
        }
    for run in config["runs"]:
        for seed in config["seeds"] if not brought(config, run) else ():
            yield f"train/{run}/seed{seed}", training(config, run, seed)
    for name, row in config["rows"].items():
        settings = of_run(config, row["checkpoint"])
        update_config(settings, pick(row, *OF_ROWS))
        refine = row["refine"] or config["evaluation"]["refine"]
        refiner = ["refiner"] if refine else []
        for seed in seeds(config, row["checkpoint"]):
            yield f"evaluate/{name}/seed{seed}", {
                "backbone": config["model"]["backbone"],
                "checkpoint": (
                    record(row["checkpoint"], seed) if made(config, row["checkpoint"], seed) else ""
                ),
                "evaluation": {"batch_size": config["evaluation"]["batch_size"], "refine": refine},
                "retrieval": pick(config["retrieval"], "k"),
                **pick(config, "engine"),
                **pick(settings, "prompts", "rollout", *refiner),
            }
    for name, table in config["tables"].items():
        yield f"tables/{name}", {
            "name": config["name"],
            "title": table["title"],
            "backbone": config["model"]["backbone"],
            "evaluation": pick(config["evaluation"], "bootstrap"),
            "lines": lines(config, table),
            "compare": table["compare"],
        }
    if measured(config):
        settings = of_run(config, run := config["gains"]["run"])
        yield "gains", {
            "run": run,
            "seed": config["seeds"][0],
            "backbone": config["model"]["backbone"],
            "retrieval_k": config["retrieval"]["k"],
            "gains": {key: value for key, value in config["gains"].items() if key != "run"},
            **pick(config, "engine"),
            **pick(settings, "prompts", "rollout", "refiner", "reward", "judge"),
        }
    if config["step_time"]:
        timed = config["step_time"]["runs"]
        yield "step_time", {
            "runs": [training(config, run, config["seeds"][0]) for run in timed],
            "labels": {run: label(config, run) for run in timed},
            "steps": config["step_time"]["steps"],
            "resamples": config["evaluation"]["bootstrap"],
        }
    if config["quality"]["rows"]:
        yield "quality", {**config["quality"], "lines": compared(config)}
    yield "tracking", config["tracking"]


def training(config, run, seed):
    """The settings of a training run, as ``searchr2 train`` takes them."""
    of = config["runs"][run]
    return {
        "run": run,
        "seed": seed,
        "backbone": config["model"]["backbone"],
        "retrieval_k": config["retrieval"]["k"],
        "paths": {
            "model": checkpoint(config, of["start"], seed),
            "index": f"{config['results']}/index/task",
            "train": [f"{config['results']}/data/train.jsonl"],
            "validation": [f"{config['results']}/data/validation.jsonl"],
        },
        **pick(config, "engine"),
        **pick(of, "kind", "method"),
        **pick(of_run(config, run), *read_by(of["kind"])),
    }


def read_by(kind):
    """The sections that a run of ``kind`` reads."""
    unread = {"grpo": {"supervised"}}.get(kind, {"grpo", "refiner", "reward", "judge"})
    return [key for key in OVERRIDABLE if key not in unread]


def write_settings(config):
    """Bring the files under results/config up to date, touching only those that change."""
    for stage, settings in stages(config):
        path = Path(config["results"], "config", f"{stage}.json")
        # a table's lines have an order; elsewhere moving a line changes nothing
        in_order = stage.startswith("tables/")
        text = json.dumps(settings, indent=1, sort_keys=not in_order) + "\n"
        if not path.is_file() or path.read_text() != text:
            hold(config["results"])
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
