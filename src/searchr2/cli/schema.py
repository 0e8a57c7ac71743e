"""Print the JSON schema of config.yaml, made from searchr2.config.

example: searchr2 schema > workflow/schema/config.schema.json
"""

from __future__ import annotations

import argparse


def arguments(parser: argparse.ArgumentParser) -> None:
    pass


def run(options: argparse.Namespace) -> None:
    import json

    from searchr2.config import Experiment

    dialect = "https://json-schema.org/draft/2020-12/schema"
    print(json.dumps({"$schema": dialect, **Experiment.model_json_schema()}, indent=1))
