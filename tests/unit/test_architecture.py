"""The layers of docs/architecture.md, read from the imports; and how big a file may grow."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
SOURCE = REPOSITORY / "src" / "searchr2"
METHOD = ("actor", "refiner", "faults", "driver", "rewards", "grpo", "packing")
HEAVY = {
    "torch",
    "transformers",
    "tokenizers",
    "deepspeed",
    "mlflow",
    "bm25s",
    "faiss",
    "uvicorn",
    "pandas",
    "matplotlib",
}
OWNERS = (
    {"deepspeed": "training/policy", "mlflow": "tracking/", "bm25s": "retrieval/"}
    | dict.fromkeys(("faiss", "starlette", "prometheus_client"), "retrieval/")
    | {"huggingface_hub": "hub/", "httpx2": "hub/", "pyarrow": "formats"}
    | {"aiohttp": "servers", "tenacity": "servers"}
)
"""Which part alone may import a library."""
LISTS = {"config"}
"""Modules that are lists, of settings here, and may be long."""


@cache
def modules() -> dict[str, ast.Module]:
    """Module -> its syntax tree; ``cli/main`` stands for ``searchr2.cli.main``."""
    return {
        path.relative_to(SOURCE).with_suffix("").as_posix(): ast.parse(path.read_text())
        for path in sorted(SOURCE.rglob("*.py"))
        if path.name != "__init__.py"
    }


@cache
def imports(module: str) -> frozenset[str]:
    """What a module imports anywhere in it: our modules as above, others by their first name."""
    found = set()
    for node in ast.walk(modules()[module]):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{module}: a relative import"
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    ours = {name.removeprefix("searchr2.").replace(".", "/") for name in found if _ours(name)}
    known = {name if name in modules() else name.rpartition("/")[0] for name in ours}
    return frozenset({*(known - {""}), *(n.partition(".")[0] for n in found if not _ours(n))})


def _ours(name: str) -> bool:
    return name.partition(".")[0] == "searchr2"


@cache
def layers() -> dict[str, int]:
    """Module -> layer, as the table in the architecture page has it; a name with / is a folder."""
    page = (REPOSITORY / "docs" / "architecture.md").read_text()
    named = {
        name: int(layer)
        for layer, cell in re.findall(r"^\| (\d) \| ([^|]*) \|", page, re.MULTILINE)
        for name in re.findall(r"`([^`]+)`", cell)
    }
    assert len(named) > 20
    wrong = {name for name in named if not any(_in(name, module) for module in modules())}
    assert not wrong, "the page names what is not there"
    found = {}
    for module in modules():
        matches = [layer for name, layer in named.items() if _in(name, module)]
        assert len(matches) == 1, f"the page puts {module} into layers {matches}"
        found[module] = matches[0]
    return found


def _in(name: str, module: str) -> bool:
    return module.startswith(name) if name.endswith("/") else module == name


def ours(module: str) -> set[str]:
    return set(imports(module)) & set(modules())


def test_every_module_stands_in_one_layer_of_the_page():
    assert set(layers()) == set(modules())
    assert set(layers().values()) == {0, 1, 2, 3, 4}
    assert {module for module, layer in layers().items() if layer == 1} == set(METHOD)


def test_imports_only_point_down():
    up = [(a, b) for a in modules() for b in ours(a) if layers()[b] > layers()[a]]
    assert up == []


def test_the_method_and_the_adapters_do_not_know_each_other():
    meetings = [(a, b) for a in modules() for b in ours(a) if (layers()[a], layers()[b]) == (2, 1)]
    assert meetings == []


def test_no_modules_import_each_other_in_a_circle():
    order = list(TopologicalSorter({module: ours(module) for module in modules()}).static_order())
    assert len(order) == len(modules())


@pytest.mark.parametrize("library", OWNERS)
def test_one_part_alone_imports_a_library_that_could_be_exchanged(library):
    users = {module for module in modules() if library in imports(module)}
    assert users
    assert {user for user in users if not user.startswith(OWNERS[library])} == set()


def test_the_workflow_imports_nothing_of_the_package():
    rules = [REPOSITORY / "Snakefile", *(REPOSITORY / "workflow").glob("**/*.smk")]
    rules.append(REPOSITORY / "workflow" / "Snakefile")
    assert len(rules) > 5
    for rule in rules:
        assert not re.search(r"^\s*(import|from) searchr2", rule.read_text(), re.MULTILINE), rule


def test_the_method_is_short_and_only_its_loss_needs_torch():
    lines = sum(len((SOURCE / f"{name}.py").read_text().splitlines()) for name in METHOD)
    assert lines < 1000
    assert [name for name in METHOD if "torch" in imports(name)] == ["grpo"]


def loaded_by(code: str) -> set[str]:
    """The heavy libraries that a fresh interpreter has loaded after ``code``."""
    shown = f"{code}\nimport sys\nprint('loaded', *({HEAVY!r} & set(sys.modules)), file=sys.stderr)"
    done = subprocess.run(
        [sys.executable, "-c", shown], capture_output=True, text=True, check=True, timeout=120
    )
    [line] = [line for line in done.stderr.splitlines() if line.startswith("loaded")]
    return set(line.split()[1:])


@pytest.mark.parametrize(
    "code",
    [
        "import searchr2",
        "from searchr2.cli.main import main; assert main(['--help']) == 0",
        "from searchr2.cli.main import main; assert main([]) == 0",
        f"import {', '.join(f'searchr2.{name}' for name in METHOD if name != 'grpo')}",
    ],
)
def test_nothing_heavy_is_loaded_by(code):
    assert loaded_by(code) == set()


def test_no_commands_help_loads_anything_heavy():
    code = (
        "import contextlib\n"
        "from searchr2.cli.main import COMMANDS, main\n"
        "for name in COMMANDS:\n"
        "    with contextlib.suppress(SystemExit):\n"
        "        main([name, '--help'])"
    )
    assert loaded_by(code) == set()


def test_commands_load_what_is_slow_only_when_they_run():
    entries = [module for module in modules() if module.startswith("cli/") or module == "build"]
    loads = f"import {', '.join('searchr2.' + module.replace('/', '.') for module in entries)}"
    assert len(entries) > 10
    assert loaded_by(loads) == set()


def test_files_are_short_enough_to_read():
    lengths = {m: len((SOURCE / f"{m}.py").read_text().splitlines()) for m in modules()}
    assert {m: n for m, n in lengths.items() if n > 220 and m not in LISTS} == {}


def test_functions_are_short_enough_to_read():
    lengths = {
        f"{module}.{node.name}": len(range(node.lineno, (node.end_lineno or 0) + 1))
        for module, tree in modules().items()
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    }
    assert {name: n for name, n in lengths.items() if n > 45} == {}
