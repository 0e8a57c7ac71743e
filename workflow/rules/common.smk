"""What the rules share: the evaluation sets, where checkpoints stand, what a table is made of."""

import os
import shlex
from pathlib import Path

INDEX_SETTINGS = {
    "bm25": ("k1", "b"),
    "dense": (
        *("encoder", "query_prefix", "passage_prefix", "pooling", "normalise", "query_tokens"),
        *("passage_tokens", "factory", "search_parameters", "vectors"),
    ),
    "http": ("urls", "timeout_s", "deadline_s", "retries"),
}
"""Kind of index -> the settings that are its."""
MODELS = ("base", "instruct")
"""Checkpoints that runs start from; every other one is a run."""
CURVES, REVISIONS = "table_curves", "table_revisions"
"""Tables that are also drawn: over training steps, and against the revisions allowed."""
RULES = Path(os.path.relpath(workflow.current_basedir.get_path_or_uri(secret_free=True)))
PAPER, CAPTIONS = RULES.parent / "reference", RULES.parent / "report"
"""The paper's tables, named as ours; a caption each of what the report shows."""
SETS = SCHEMA["$defs"]["Data"]["properties"]["questions"]["anyOf"][0]["propertyNames"]["enum"]


def sets(config):
    """The evaluation sets there are questions for, in the table's order."""
    named = config["data"]["questions"]
    return [name for name in SETS if named is None or name in named]


def index_options(settings, kind):
    """What ``searchr2 index`` is told of the settings of the section ``retrieval``."""
    words = ["--kind", kind]
    for key in INDEX_SETTINGS[kind]:
        option, value = f"--{key}".replace("_", "-"), settings[key]
        if isinstance(value, bool):
            words.append(option if value else option.replace("--", "--no-", 1))
        elif value or not isinstance(value, list):
            words += [option, *map(str, value if isinstance(value, list) else [value])]
    return shlex.join(words)


def record(name, seed):
    """The record folder of checkpoint ``name``, below results."""
    return name if name in MODELS else f"train/{name}/seed{seed}"


def brought(config, name):
    """The folder or hub id that the user brought as model ``name``, if so."""
    own = config["model"]["path"]
    of_runs = {run: of["model"] for run, of in config["runs"].items()}
    return {"base": own, "instruct": config["model"]["instruct"] or own, **of_runs}.get(name)


def checkpoint(config, name, seed=None):
    """What checkpoint ``name`` is read from: its record, or what the user brought."""
    return brought(config, name) or f"{config['results']}/{record(name, seed)}"


def snapshot(config, name, seed, step):
    """Where the weights of checkpoint ``name`` after training step ``step`` are kept."""
    return f"{checkpoint(config, name, seed)}/snapshots/step{int(step):04d}"


def made(config, name, seed=None):
    """The file that says checkpoint ``name`` is whole; none for one that the user brought."""
    return [] if brought(config, name) else [f"{checkpoint(config, name, seed)}/manifest.json"]


def seeds(config, name):
    """The training seeds checkpoint ``name`` exists for; what was brought is there once."""
    if name in MODELS:
        return [config["base"]["seed"]]
    return config["seeds"][:1] if brought(config, name) else config["seeds"]


def stepped(config, run):
    """Is ``run`` trained here with GRPO? The steps of supervised training are others."""
    of = config["runs"].get(run, {"kind": None})
    return of["kind"] == "grpo" and not brought(config, run)


def snapshots(config, run):
    """The steps between start and end whose weights run ``run`` keeps."""
    grpo = of_run(config, run)["grpo"]
    return range(grpo["snapshot_every"], grpo["steps"], grpo["snapshot_every"])


def evaluated(row, seed, step=None):
    """The folder of an evaluation, below those of all: of a snapshot, or of the end."""
    end = f"{row}/seed{seed}"
    return end if step is None else f"{end}/steps/step{step:04d}"


def line(config, row, snapshot=None, step=None, shown=True):
    """A line of a table, as ``searchr2 table`` takes it."""
    of = config["rows"][row]
    folders = [evaluated(row, seed, snapshot) for seed in seeds(config, of["checkpoint"])]
    return {"label": of["label"], "folders": folders, "step": step, "shown": shown}


def lines(config, table):
    """The lines of ``table`` by name, and after them those that are only compared."""
    found = {}
    for row in table["rows"]:
        run, end = config["rows"][row]["checkpoint"], None
        if table["over_steps"] and stepped(config, run):
            end = of_run(config, run)["grpo"]["steps"]
            for step in snapshots(config, run):
                found[f"{row}@{step}"] = line(config, row, step, step)
        found[row] = line(config, row, step=end)
    compared = dict.fromkeys(name for pair in table["compare"] for name in pair)
    for name in [name for name in compared if "@" in name and name not in found]:
        raise WorkflowError(f"config: compare: no line {name!r} in a table of {', '.join(found)}")
    return found | {row: line(config, row, shown=False) for row in compared if row not in found}


def evaluations(config, lines, file):
    """``file`` of every evaluation that ``lines`` are read from."""
    return [
        f"{config['results']}/evaluate/{folder}/{file}"
        for line in lines.values()
        for folder in line["folders"]
    ]


def compared(config):
    """The lines of the two rows whose trajectories are compared, if any are."""
    return {row: line(config, row) for row in config["quality"]["rows"] or []}


def measured(config):
    """Training step -> checkpoint of the run whose gain is measured; none without Meta-Refiner."""
    run, seed = config["gains"]["run"], config["seeds"][0]
    if not stepped(config, run) or not of_run(config, run)["refiner"]["max_revisions"]:
        return {}
    end = checkpoint(config, run, seed)
    return {
        0: checkpoint(config, config["runs"][run]["start"], seed),
        **{step: f"{end}/snapshots/step{step:04d}" for step in snapshots(config, run)},
        of_run(config, run)["grpo"]["steps"]: end,
    }


def processes(config, run="base"):
    """How many processes train ``run``, one a GPU."""
    return of_run(config, run)["deepspeed"]["processes"]


def label(config, run):
    """How tables name ``run``: as its first row."""
    named = (row["label"] for row in config["rows"].values() if row["checkpoint"] == run)
    return next(named, run)


def revising(config):
    """Ledger of each run of the table of revisions -> how many it allows; none if one was brought."""
    rows = config["tables"].get(REVISIONS, {"rows": []})["rows"]
    runs = [config["rows"][row]["checkpoint"] for row in rows]
    if any(brought(config, run) for run in runs):
        return {}
    return {
        f"{config['results']}/{record(run, seed)}/metrics.jsonl": of_run(config, run)["refiner"][
            "max_revisions"
        ]
        for run in runs
        for seed in config["seeds"]
    }


def ledgers(config, table):
    """Ledger of each run that ``table`` has over its steps -> how it is named there."""
    return {
        f"{config['results']}/{record(row['checkpoint'], seed)}/metrics.jsonl": row["label"]
        for row in map(config["rows"].get, config["tables"].get(table, {"rows": []})["rows"])
        if stepped(config, row["checkpoint"])
        for seed in config["seeds"]
    }


def printed(config):
    """The tables that the paper has too."""
    return [table for table in config["tables"] if (PAPER / f"{table}.csv").is_file()]


def rivals(config):
    """The other tables that set Search-R2 beside Search-R1, in the paper's direction."""
    timed, judged = (config["step_time"] or {}).get("runs"), config["quality"]["rows"]
    compared = {
        "table_step_time": timed == ["search-r1", "search-r2"],
        "table_quality": judged == ["search-r2", "search-r1"],
    }
    return [f"{config['results']}/{table}.csv" for table, like in compared.items() if like]


def outcomes(config):
    """Every table and figure: what the report shows."""
    written = {
        **{f"{table}.csv": True for table in config["tables"]},
        **{
            f"{table}_cost.csv": of["over_steps"] and of["compare"]
            for table, of in config["tables"].items()
        },
        "retrieval.csv": True,
        "table_step_time.csv": config["step_time"],
        "table_gains.csv": measured(config),
        "table_quality.csv": compared(config),
        "comparison.csv": printed(config),
        "figures/training_dynamics.png": ledgers(config, CURVES),
        "figures/revisions.png": revising(config),
    }
    return [f"{config['results']}/{name}" for name, wanted in written.items() if wanted]
