"""The pages name nothing that is not there: commands, files, settings, packages, metrics."""

import argparse
import importlib
import json
import re
import shlex
import subprocess
import tomllib
from pathlib import Path
from typing import Any, get_origin

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from searchr2.cli.main import COMMANDS
from searchr2.config import Experiment, World
from tests.workflow.conftest import ROOT

PAGES = [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), ROOT / "results" / "README.md"]
README = (ROOT / "README.md").read_text()
DEFAULT = yaml.safe_load((ROOT / "config.yaml").read_text())
MAKEFILE = (ROOT / "Makefile").read_text()
SOURCE = ROOT / "src" / "searchr2"
RULES = {
    name
    for path in ROOT.glob("workflow/rules/*.smk")
    for name in re.findall(r"^rule (\w+):|^use rule \w+ as (\w+) ", path.read_text(), re.M)
    for name in name
    if name
} | {"all"}

pages = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())


def commands(page: Path) -> list[list[str]]:
    """What a page says to type: its indented lines, and the code in its sentences."""
    text = page.read_text()
    blocks = re.findall(r"^ {4,}(\S.*)$", text, re.M)
    found = []
    for line in [*blocks, *re.findall(r"`([^`\n]+)`", text)]:
        try:
            words = shlex.split(line.split("  #")[0])
        except ValueError:  # prose with an apostrophe
            continue
        if words:
            found.append([words[0].removeprefix(".venv/bin/"), *words[1:]])
    return found


def typed(page: Path, program: str) -> list[list[str]]:
    """The arguments of each call of ``program``; those that only stand for something left out."""
    calls = [words[1:] for words in commands(page) if words[0] == program and len(words) > 1]
    return [words for words in calls if not (words[0].isupper() or words[0] == "...")]


@pages
def test_make_targets_and_variables_exist(page):
    for words in typed(page, "make"):
        for word in words:
            name, equals, _ = word.partition("=")
            if equals:
                assert re.search(rf"^{name} \?=", MAKEFILE, re.M), f"make {name}="
            else:
                assert re.search(rf"^{name}:.*## ", MAKEFILE, re.M), f"make {name}"


@pages
def test_searchr2_commands_parse(page):
    for name, *arguments in typed(page, "searchr2"):
        if name == "--help":
            continue
        assert name in COMMANDS, f"searchr2 {name}"
        if not arguments or ">" in arguments:
            continue
        parser = argparse.ArgumentParser(name, exit_on_error=False)
        command = importlib.import_module(f"searchr2.cli.{name}")
        command.arguments(parser)
        if len(arguments) == 1 and arguments[0].startswith("--"):  # an option by its name
            assert arguments[0] in parser.format_help()
        else:
            parser.parse_args(arguments)


@pages
def test_snakemake_commands_parse(page):
    from snakemake.cli import get_argument_parser

    for words in typed(page, "snakemake"):
        options = get_argument_parser().parse_args(words)
        for rule in options.forcerun or ():
            assert rule in RULES, rule
        for path in options.configfile or ():
            assert (ROOT / path).is_file(), path


@pages
def test_scripts_exist(page):
    for words in [*typed(page, "python"), *typed(page, "python3.11")]:
        assert words[0] == "-m" or (ROOT / words[0]).is_file(), words


@pages
def test_links_resolve(page):
    text = page.read_text()
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if not target.startswith(("http://", "https://")):
            assert (page.parent / target.partition("#")[0]).exists(), target


@pages
def test_files_that_are_named_exist(page):
    """Code that looks like a path of this repository is one."""
    for name in re.findall(
        r"`((?:src|tests|docs|workflow|configs|benchmarks|envs)/[^`\s*<]*)`", page.read_text()
    ):
        assert (ROOT / name).exists(), name


@pages
def test_settings_that_are_named_exist(page):
    for path in re.findall(r"`([a-z]+(?:\.[a-z0-9_-]+)+)(?:: [^`]*)?`", page.read_text()):
        section, *rest = path.split(".")
        if section not in Experiment.model_fields or rest[-1] in ("py", "smk", "yaml", "md", "csv"):
            continue
        kind: Any = Experiment.model_fields[section].annotation
        known = DEFAULT[section] if get_origin(kind) is dict else getattr(kind, "model_fields", {})
        assert rest[0] in known, path


def test_the_map_of_files_is_the_tree():
    [block] = re.findall(r"```\n(.*?)```", README, re.S)
    listed = [line.split()[0] for line in block.splitlines()]
    assert len(listed) == len(set(listed))
    assert all(re.search(r" {2,}\S", line) for line in block.splitlines()), "a line says what"
    modules = {f"src/searchr2/{path.name}" for path in SOURCE.glob("*.py")}
    folders = {f"src/searchr2/{path.name}/" for path in SOURCE.iterdir() if path.is_dir()}
    expected = (modules | folders) - {"src/searchr2/__init__.py", "src/searchr2/__pycache__/"}
    assert {name for name in listed if name.startswith("src/")} == expected
    others = {name for name in listed if not name.startswith("src/")}
    assert others == {f"{name}/" if (ROOT / name).is_dir() else name for name in shown()}


def shown() -> set[str]:
    """What stands at the top of the repository, apart from what every repository has."""
    if not (ROOT / ".git").exists():
        pytest.skip("not a git checkout")
    command = ["git", "ls-files"]
    tracked = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    top = {name.partition("/")[0] for name in tracked.splitlines()}
    usual = {name for name in top if name.startswith(".") or name.endswith((".md", ".cff"))}
    return top - usual - {"LICENSE", "src"}


def test_the_question_to_ask_is_about_the_default_world(tmp_path):
    from searchr2.world.write import write_world

    write_world(World(), tmp_path)
    [question] = re.findall(r'searchr2 ask "([^"]+)"', README)
    files = [*(tmp_path / "questions").glob("*.jsonl")]
    asked = {json.loads(line)["question"] for file in files for line in file.open()}
    assert question in asked
    help_text = importlib.import_module("searchr2.cli.ask").__doc__ or ""
    assert f'searchr2 ask "{question}"' in help_text


def test_the_results_table_has_the_papers_rows():
    rows = dict(
        re.findall(r"^\| ([A-Z][\w -]+) \| ([\d.]+)[^|]*\| [^|]+ \| [^|]+ \|$", README, re.M)
    )
    assert rows["Search-R1"] == "35.0"
    assert rows["Search-R2"] == "40.4"
    assert len(rows) == 11


def test_every_package_has_its_reason():
    page = (ROOT / "docs" / "dependencies.md").read_text()
    named = {
        canonicalize_name(name)
        for cell in re.findall(r"^\| (`[^|]+`) \|", page, re.M)
        for name in re.findall(r"`([^`]+)`", cell)
    }
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    wanted = [*project["dependencies"], *extras["workflow"], *extras["dev"]]
    assert named == {canonicalize_name(Requirement(line).name) for line in wanted}


KEY = r"(?:reward|judge|rollout|refiner|policy|validation|loss|time|alarms)/[a-z_]+"


def test_every_metric_has_its_definition():
    page = (ROOT / "docs" / "metrics.md").read_text()
    defined = set(re.findall(rf"^\| `({KEY})(?:<i>)?` \|", page, re.M))
    written = set()
    for path in [
        *SOURCE.glob("training/*.py"),
        SOURCE / "cli/train.py",
        SOURCE / "tracking/ledger.py",
    ]:
        text = path.read_text()
        written |= set(re.findall(rf'"({KEY})["{{]', text))
        written |= {f"time/{phase}" for phase in re.findall(r'self\.seconds\["(\w+)"\]', text)}
    assert defined == written - {"time/"}


def test_every_figure_of_an_evaluation_has_its_definition():
    from searchr2.evaluation import summary

    row = {"em": 1.0, "f1": 1.0, "sub_em": 1.0, "searches": 0, "prediction": "x"}
    row |= {"dataset": "nq", "supporting_titles": None, "titles_found": None}
    page = (ROOT / "docs" / "metrics.md").read_text()
    section = page.partition("## Evaluation")[2].partition("##")[0]
    assert set(re.findall(r"^\| `(\w+)` \|", section, re.M)) == summary([row])["sets"]["nq"].keys()
