"""What the rules share: the evaluation sets, the user's files, where checkpoints stand."""

SETS = SCHEMA["$defs"]["Data"]["properties"]["questions"]["anyOf"][0]["propertyNames"]["enum"]


def sets(config):
    """The evaluation sets there are questions for, in the table's order."""
    named = config["data"]["questions"]
    return [name for name in SETS if named is None or name in named]


def files(config):
    """The user's own files that the data stage reads."""
    corpus, questions, train = pick(config["data"], "corpus", "questions", "train").values()
    return [*([corpus] if corpus else []), *(questions or {}).values(), *(train or [])]


def record(name, seed):
    """The record folder of checkpoint ``name``, below results."""
    return "base" if name == "base" else f"train/{name}/seed{seed}"


def checkpoint(config, name, seed=None):
    """What checkpoint ``name`` is read from: its record, or the folder or hub id the user brought."""
    own = config["model"]["path"] if name == "base" else None
    return own or f"{config['results']}/{record(name, seed)}"


def made(config, name, seed=None):
    """The file that says checkpoint ``name`` is whole; none for one that the user brought."""
    own = name == "base" and config["model"]["path"]
    return [] if own else [f"{checkpoint(config, name, seed)}/manifest.json"]


def seeds(config, name):
    """The training seeds checkpoint ``name`` exists for."""
    return [config["base"]["seed"]] if name == "base" else config["seeds"]


def curves(config):
    """Ledger of each trained run -> how the figure names it: as its first row of the table."""
    rows = config["rows"].values()
    return {
        f"{config['results']}/{record(run, seed)}/metrics.jsonl": next(
            (row["label"] for row in rows if row["checkpoint"] == run), run
        )
        for run in config["runs"]
        for seed in config["seeds"]
    }


def evaluations(config, file):
    """``file`` of every evaluation in the table."""
    return [
        f"{config['results']}/evaluate/{name}/seed{seed}/{file}"
        for name, row in config["rows"].items()
        for seed in seeds(config, row["checkpoint"])
    ]
