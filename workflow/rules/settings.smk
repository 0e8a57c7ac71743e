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
    """Stop before any work where a setting is wrong or a name leads nowhere."""
    wrong = list(problems(config))
    if not wrong:
        runs, rows, tables = (config.get(key, {}) for key in ("runs", "rows", "tables"))
        for place, of, keys in ("runs", runs, OVERRIDABLE), ("rows", rows, OF_ROWS):
            for name, changed in of.items():
                wrong += problems({k: changed[k] for k in keys if k in changed}, [place, name])
        for name in [*runs, *rows, *tables]:
            if not re.fullmatch(NAME, name) or (name in MODELS and name in runs):
                wrong.append(f"{name!r} cannot name a run, a row or a table")
        for name, run in runs.items():
            if (start := run.get("start", "base")) not in {*MODELS, *runs} - {name}:
                wrong.append(f"runs.{name}.start: {start!r} is not base, instruct or another run")
        for name, row in rows.items():
            if (of := row.get("checkpoint", "base")) not in {*MODELS, *runs}:
                wrong.append(f"rows.{name}.checkpoint: {of!r} is not in runs")
        named = {
            f"tables.{name}": [
                *table["rows"],
                *(row.partition("@")[0] for row in sum(table.get("compare", []), [])),
            ]
            for name, table in tables.items()
        } | {"quality.rows": config.get("quality", {}).get("rows") or []}
        for place, names in named.items():
            wrong += [
                f"{place}: {name!r} is not in rows"
                for name in dict.fromkeys(names)
                if name not in rows
            ]
        given = [key for key in OWN if config.get("data", {}).get(key)]
        if given and len(given) < len(OWN):
            wrong.append(f"data: {', '.join(OWN)} go together; there is only {', '.join(given)}")
        wrong += [
            f"{place}: {path}: no such file"
            for place, path in own(config)
            if not Path(path).exists()
        ]
        wrong += [
            f"tables.{name}: results/{name}.csv is another table of the workflow; take another name"
            for name in tables
            if name in OTHERS
        ]
        trained = {run: of.get("kind", "grpo") for run, of in runs.items() if not of.get("model")}
        for name in [name for name, table in tables.items() if table.get("over_steps")]:
            of = tables[name]["rows"]
            kinds = {row: trained.get(rows.get(row, {}).get("checkpoint")) for row in of}
            wrong += [
                f"tables.{name}: over_steps, and {row!r} is of no run that is trained here"
                for row, kind in kinds.items()
                if not kind
            ]
            if "grpo" not in kinds.values():
                wrong.append(f"tables.{name}: over_steps, and no row is of a GRPO run")
        timed = (config.get("step_time") or {}).get("runs", [])
        wrong += [f"step_time.runs: {name!r} is not in runs" for name in timed if name not in runs]
        if (of := config.get("gains", {}).get("run", "")) and of not in runs:
            wrong.append(f"gains.run: {of!r} is not in runs")
        elif {**config.get("refiner", {}), **runs.get(of, {}).get("refiner", {})}.get("oracle"):
            wrong.append(f"gains.run: {of!r} has an oracle: not the Meta-Refiner's own verdicts")
        engine = config.get("engine", {})
        if engine.get("kind", "local") != "local" and not engine.get("urls"):
            wrong.append(f"engine.urls: an engine of kind {engine['kind']} needs it")
        search = config.get("retrieval", {})
        if (needed := INDEX_NEEDS.get(search.get("kind"))) and not search.get(needed):
            wrong.append(f"retrieval.{needed}: retrieval of kind {search['kind']} needs it")
        wrong += [
            f"{place}: a judge of kind {judge['kind']} needs {key}"
            for place, judge in judges(config)
            for key in JUDGE_NEEDS.get(judge.get("kind"), ())
            if not judge.get(key)
        ]
        if re.search("://[^/].*@", config.get("tracking", {}).get("uri") or ""):  # never printed
            wrong.append(
                "tracking.uri: a user name or password here would be kept with the results; leave it"
                " out and set the variables MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD"
            )
    if wrong:
        raise WorkflowError("\n".join(f"config: {line}" for line in wrong))


def own(config):
    """The user's own files, with their places: Snakemake looks for none whose product is there."""
    data, search = config.get("data", {}), config.get("retrieval", {})
    files = {
        "data.corpus": [data.get("corpus")],
        "data.questions": (data.get("questions") or {}).values(),
        "data.train": data.get("train") or [],
        "retrieval.vectors": search.get("vectors", []) if search.get("kind") == "dense" else [],
    }
    return [(place, path) for place, paths in files.items() for path in paths if path]


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
