"""The files around the workflow say the same things, and its style checks pass."""

import re
import subprocess
import sys
import tomllib

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.workflow.conftest import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def pins(lines) -> dict[str, str]:
    found = (re.fullmatch(r"([\w.-]+)==(\S+)", line.strip()) for line in lines)
    return {canonicalize_name(match[1]): match[2] for match in found if match}


RUNNING = pins((ROOT / "requirements.txt").read_text().splitlines())
TESTING = pins((ROOT / "requirements-dev.txt").read_text().splitlines())


def test_the_linter_finds_nothing(project):
    status, output = project.snakemake("--lint")
    assert status == 0, output


def test_the_workflow_is_formatted():
    command = [sys.executable, "-m", "snakefmt", "--check", "Snakefile", "workflow"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_every_requirement_is_pinned_inside_its_range():
    extras = PROJECT["optional-dependencies"]
    running = [*PROJECT["dependencies"], *extras["workflow"]]
    for line, where in [
        *((one, RUNNING) for one in running),
        *((one, RUNNING | TESTING) for one in extras["dev"]),
    ]:
        wanted = Requirement(line)
        assert where[canonicalize_name(wanted.name)] in wanted.specifier, line
    assert not RUNNING.keys() & TESTING.keys()


def test_the_conda_environment_has_the_same_pins():
    environment = yaml.safe_load((ROOT / "envs" / "searchr2.yaml").read_text())
    conda = pins(environment["dependencies"][-1]["pip"])
    assert conda.items() <= RUNNING.items()
    named = {canonicalize_name(Requirement(line).name) for line in PROJECT["dependencies"]}
    assert set(conda) == named


def test_make_help_lists_every_target_with_a_line():
    text = (ROOT / "Makefile").read_text()
    [phony] = re.findall(r"^\.PHONY: (.*)", text, flags=re.M)
    shown = subprocess.run(["make"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    listed = re.findall(r"^make (\w+) +\S.*$", shown, flags=re.M)
    assert sorted(listed) == sorted(phony.split())
    assert {"venv", "table1", "test", "ui", "help"} <= set(listed)


def test_nothing_a_rule_writes_is_under_version_control():
    if not (ROOT / ".git").exists():
        pytest.skip("not a git checkout")
    command = ["git", "ls-files", "results"]
    tracked = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert tracked.split() == ["results/README.md"]


AVERAGES = {
    "Direct Inference": 1.0,
    "CoT": 1.0,
    "IRCoT": 15.0,
    "Search-o1": 10.0,
    "RAG": 20.0,
    "SFT": 2.0,
    "R1-base": 2.0,
    "R1-instruct": 2.0,
    "Rejection Sampling": 30.0,
    "Search-R1": 50.0,
    "Search-R2": 50.0,
}
SETS = "nq,triviaqa,popqa,hotpotqa,2wikimultihopqa,musique,bamboogle"
TABLE = f"method,backbone,{SETS},average,average_ci_low,average_ci_high\n" + "".join(
    f"{method},m,{','.join([str(em)] * 8)},{em - 1},{em + 2}\n" for method, em in AVERAGES.items()
)


@pytest.mark.parametrize(
    ("old", "new", "status"),
    [
        ("", "", 0),
        ("RAG,m", "Rag,m", 1),
        (",musique", "", 1),
        ("50.0,49.0", "60.0,49.0", 1),
        ("Search-R1,m,50.0,50.0", "Search-R1,m,,50.0", 1),
    ],
)
def test_ci_accepts_a_good_table_and_no_other(tmp_path, old, new, status):
    path = tmp_path / "table1.csv"
    path.write_text(TABLE.replace(old, new))
    done = subprocess.run([sys.executable, ROOT / ".ci/check_table.py", path], capture_output=True)
    assert done.returncode == status
