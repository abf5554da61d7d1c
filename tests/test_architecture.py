"""The house rules, checked on the source: who imports whom, what is pure, where time, Qt and danger may be.

The table is that of ``docs/explanation/architecture.md``. A new module fails here until it has a place in it.
"""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("engine", "feeds", "gui", "mock_server")


@dataclass(frozen=True)
class Layer:
    """A row of the table: its modules, and the layers and further modules that they may import."""

    modules: tuple[str, ...]
    below: tuple[str, ...]
    also: tuple[str, ...] = ()


def engine(*names: str) -> tuple[str, ...]:
    return tuple(f"engine.{name}" for name in names)


LAYERS = {
    "hot": Layer(engine("_*"), ("hot",)),
    "words": Layer(engine("errors", "quantities", "model", "events", "secret", "telemetry_wire"), ("hot", "words")),
    "language": Layer(
        engine("rules", "indicators", "structure", "regimes", "custom", "sizing")
        + engine("language", "language.*", "graph", "graph.*"),
        ("hot", "words", "language"),
    ),
    "domain": Layer(
        engine("strategy", "declarations", "latency", "ports", "trading.lanes")
        + engine("account", "account.*", "sessions", "sessions.*"),
        ("hot", "words", "language", "domain"),
    ),
    "shells": Layer(
        engine("strategies", "strategies.*"),
        (),
        engine("strategies.*", "strategy", "rules", "indicators", "structure", "regimes", "model"),
    ),
    "core": Layer(engine("trading", "trading.*"), ("hot", "words", "language", "domain", "core")),
    "adapters": Layer(
        engine("journal", "journal.*", "store", "store.*", "config", "config.*", "brokers", "brokers.*", "reconcile")
        + engine("telemetry", "telemetry_client", "secret_store", "calendars", "log", "plugins", "live.embedded")
        + ("feeds", "feeds.*"),
        ("hot", "words", "language", "domain"),
    ),
    "compositions": Layer(
        engine("live", "live.*", "backtesting", "run_settings", "results", "lineup", "tools", "tools.*"),
        ("hot", "words", "language", "domain", "shells", "core", "adapters", "compositions"),
    ),
    "entry": Layer(
        engine("cli", "commands", "commands.*", "console", "__main__"),
        ("hot", "words", "language", "domain", "shells", "core", "adapters", "compositions", "entry"),
        ("engine", "mock_server.market"),
    ),
    "gui": Layer(("gui", "gui.*"), ("gui",), engine("errors", "model", "events", "telemetry_wire", "_core")),
    "mock": Layer(("mock_server", "mock_server.*"), ("mock",)),
    # Re-exports, lazily; its imports run when a name is asked for.
    "facade": Layer(("engine",), ("hot", "words", "domain", "core", "adapters", "compositions")),
}
PURE = ("hot", "words", "language", "domain", "shells", "core")
IMPURE_MODULES = {
    *("asyncio", "socket", "threading", "os", "time", "random", "uuid", "logging", "subprocess", "multiprocessing"),
    *("signal", "selectors", "concurrent", "shutil", "tempfile", "secrets", "libc.time", "posix", "cpython.pythread"),
}
WALL_CLOCK = {"time.time", "time.time_ns", "datetime.now", "datetime.utcnow", "date.today", "datetime.today"}
WALL_CLOCK_READERS = {"feeds": "receive_stamp", "engine.live.session": "wall_ns"}  # module prefix: function or class
CORE_LIBRARIES = {"numpy", "orjson", "websockets", "uvloop", "typer", "click", "rich", "structlog", "pydantic",
                  "dotenv", "pydantic_core", "pydantic_settings"}  # fmt: skip
DANGEROUS_MODULES = {"pickle", "cPickle", "dill", "cloudpickle", "marshal", "shelve", "joblib"}


@dataclass(frozen=True)
class Source:
    """A source file and the module it is."""

    path: Path
    module: str

    @property
    def is_python(self) -> bool:
        return self.path.suffix == ".py"

    @property
    def package(self) -> str:
        return self.module if self.path.name == "__init__.py" else self.module.rpartition(".")[0]

    def tree(self) -> ast.Module:
        return ast.parse(self.path.read_text(encoding="utf-8"), str(self.path))


@cache
def sources() -> tuple[Source, ...]:
    found = []
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*")):
            if path.suffix in (".py", ".pyx", ".pxd"):
                parts = path.relative_to(ROOT).with_suffix("").parts
                found.append(Source(path, ".".join(parts[:-1] if parts[-1] == "__init__" else parts)))
    return tuple(found)


def layer_of(module: str) -> str | None:
    return next((name for name, layer in LAYERS.items() if matches(module, layer.modules)), None)


def matches(module: str, patterns: tuple[str, ...]) -> bool:
    # The star of "feeds.*" spans dots; that of "engine._*" must not claim engine.__main__.
    return module in patterns or (
        module != "engine.__main__" and any(fnmatchcase(module, pattern) for pattern in patterns)
    )


@dataclass(frozen=True)
class Import:
    """One import: the module, whether it runs when the importer is loaded, and its line."""

    module: str
    at_load: bool
    line: int


def imports_of(source: Source) -> list[Import]:
    found = list(python_imports(source) if source.is_python else cython_imports(source))
    return [Import(resolved, i.at_load, i.line) for i in found for resolved in [i.module] if resolved]


def python_imports(source: Source) -> Iterator[Import]:
    tree = source.tree()
    lazy = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        or (isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test))
        for inner in ast.walk(node)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield Import(alias.name, id(node) not in lazy, node.lineno)
        elif isinstance(node, ast.ImportFrom):
            base = absolute(source.package, node.level, node.module or "")
            for alias in node.names:
                yield Import(submodule(base, alias.name), id(node) not in lazy, node.lineno)


CYTHON_FROM = re.compile(r"\s*from\s+(\.*)([\w.]*)\s+c?import\s+\(?\s*([\w ,]*)")
CYTHON_IMPORT = re.compile(r"\s*c?import\s+([\w.]+(?:\s+as\s+\w+)?(?:\s*,\s*[\w.]+(?:\s+as\s+\w+)?)*)")


def cython_imports(source: Source) -> Iterator[Import]:
    for number, line in enumerate(source.path.read_text(encoding="utf-8").splitlines(), start=1):
        if match := CYTHON_FROM.match(line):
            base = absolute(source.package, len(match[1]), match[2])
            for name in match[3].split(",") or [""]:
                yield Import(submodule(base, name.strip().split(" ")[0]), True, number)
        elif match := CYTHON_IMPORT.match(line):
            for name in match[1].split(","):
                yield Import(name.strip().split(" ")[0], True, number)


def absolute(package: str, level: int, module: str) -> str:
    if not level:
        return module
    parts = package.split(".")
    parts = parts[: len(parts) - level + 1]
    return ".".join([*parts, module] if module else parts)


@cache
def modules() -> frozenset[str]:
    return frozenset(source.module for source in sources())


def submodule(base: str, name: str) -> str:
    """``from engine import model`` imports engine.model; ``from engine.model import Side`` imports engine.model."""
    return f"{base}.{name}" if f"{base}.{name}" in modules() else base


def ours(module: str) -> bool:
    return module.split(".")[0] in PACKAGES


def allowed(importer: str, imported: str) -> bool:
    """Say whether the table lets ``importer`` import ``imported``."""
    layer = LAYERS[layer_of(importer) or ""]
    if importer == imported or matches(imported, layer.also):
        return True
    target = layer_of(imported)
    if layer_of(importer) == target == "adapters":
        return own_package(importer) == own_package(imported)
    return target in layer.below or target == layer_of(importer)


def own_package(adapter: str) -> str:
    """Return the family of an adapter: feeds.ws is of feeds, engine.store.csv of store."""
    parts = adapter.split(".")
    return parts[0] if parts[0] == "feeds" else parts[1]


def python_sources() -> list[Source]:
    return [source for source in sources() if source.is_python]


def pure_sources() -> list[Source]:
    return [source for source in sources() if layer_of(source.module) in PURE]


def places(source: Source, lines: list[int] | list[str]) -> str:
    return f"{source.path.relative_to(ROOT)}: {lines}"


def test_every_module_has_a_place_in_the_table():
    homeless = sorted({source.module for source in sources() if layer_of(source.module) is None})
    assert homeless == [], "give these modules a layer, here and in docs/explanation/architecture.md"


def test_imports_follow_the_table():
    wrong = [
        f"{source.path.relative_to(ROOT)}:{found.line}: {source.module} may not import {found.module}"
        for source in sources()
        if layer_of(source.module)
        for found in imports_of(source)
        if ours(found.module) and not allowed(source.module, found.module)
    ]
    assert wrong == []


def test_no_import_circles():
    graph: dict[str, set[str]] = {}
    for source in sources():
        needed = {i.module for i in imports_of(source) if i.at_load and ours(i.module)} - {source.module}
        # A package's own __init__ is loaded before its modules whatever they import: not a circle of their making.
        graph.setdefault(source.module, set()).update(n for n in needed if not source.module.startswith(f"{n}."))
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as circle:
        pytest.fail(" -> ".join(circle.args[1]))


def test_the_page_shows_the_same_table():
    page = (ROOT / "docs/explanation/architecture.md").read_text(encoding="utf-8")
    for layer in ("words", "language", "domain", "core", "compositions", "entry"):
        row = next(line for line in page.splitlines() if re.match(rf"\| \d {layer} \|", line))
        for module in LAYERS[layer].modules:
            name = module.removeprefix("engine.").removesuffix(".*")
            assert name.endswith("_*") or f"`{name}" in row, f"{name} is not in the row {layer!r} of the page"


def test_layers_0_to_4_are_pure():
    wrong = [
        f"{source.path.relative_to(ROOT)}:{found.line} imports {found.module}"
        for source in pure_sources()
        for found in imports_of(source)
        if {found.module, found.module.split(".")[0]} & IMPURE_MODULES
    ]
    wrong += [
        f"{source.path.relative_to(ROOT)}:{node.lineno} calls {node.func.id}()"
        for source in pure_sources()
        if source.is_python
        for node in ast.walk(source.tree())
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in {"open", "print", "input"}
    ]
    assert wrong == []


def wall_clock_reads(tree: ast.Module) -> list[tuple[int, tuple[str, ...]]]:
    """Return the line and the enclosing functions and classes of every read of the wall clock."""
    found = []

    def visit(node: ast.AST, inside: tuple[str, ...]) -> None:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            inside = (*inside, node.name)
        if isinstance(node, ast.Attribute) and ".".join(ast.unparse(node).split(".")[-2:]) in WALL_CLOCK:
            found.append((node.lineno, inside))
        if isinstance(node, ast.ImportFrom) and node.module == "time":
            found.extend((node.lineno, inside) for alias in node.names if f"time.{alias.name}" in WALL_CLOCK)
        for child in ast.iter_child_nodes(node):
            visit(child, inside)

    visit(tree, ())
    return found


def test_wall_time_is_read_in_two_places():
    wrong = []
    for source in python_sources():
        if source.module.split(".")[0] not in ("engine", "feeds"):
            continue  # the mock market and the dashboard are processes of their own
        reader = next((name for prefix, name in WALL_CLOCK_READERS.items() if source.module.startswith(prefix)), None)
        for line, inside in wall_clock_reads(source.tree()):
            if not any(part == reader for part in inside):
                wrong.append(f"{source.path.relative_to(ROOT)}:{line} in {'.'.join(inside) or 'the module'}")
    assert wrong == []


def test_the_wall_clock_check_has_teeth():
    tree = ast.parse(
        "import time, datetime\ndef f():\n  return time.time_ns(), datetime.datetime.now()\nfrom time import time"
    )
    assert sorted(line for line, _ in wall_clock_reads(tree)) == [3, 3, 4]


def test_qt_lives_under_gui_alone():
    wrong = [
        f"{source.path.relative_to(ROOT)}:{found.line}"
        for source in sources()
        if not source.module.startswith("gui")
        for found in imports_of(source)
        if found.module.split(".")[0] in {"PySide6", "PyQt6", "pyqtgraph", "shiboken6"}
    ]
    assert wrong == []


def test_optional_libraries_are_imported_where_they_are_needed():
    wrong = [
        f"{source.path.relative_to(ROOT)}:{found.line} imports {found.module}"
        for source in sources()
        if not source.module.startswith("gui") and source.is_python
        for found in imports_of(source)
        if found.at_load
        and not ours(found.module)
        and found.module.split(".")[0] not in CORE_LIBRARIES | set(sys.stdlib_module_names)
    ]
    assert wrong == []


def dangers(tree: ast.Module) -> list[int]:
    """Return the lines that could run or load code or data from outside."""
    lines = []
    for node in ast.walk(tree):
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
        if any(name.split(".")[0] in DANGEROUS_MODULES for name in names):
            lines.append(node.lineno)
        if not isinstance(node, ast.Call):
            continue
        called = ast.unparse(node.func)
        switches = {k.arg for k in node.keywords if not (isinstance(k.value, ast.Constant) and k.value.value is False)}
        if called in {"eval", "exec", "__import__", "yaml.load", "os.system", "os.popen"} or switches & {
            "shell",
            "allow_pickle",
        }:
            lines.append(node.lineno)
    return sorted(lines)


def test_nothing_dangerous_anywhere():
    everywhere = [*(s.path for s in python_sources()), *ROOT.glob("benchmarks/**/*.py"), *ROOT.glob("examples/**/*.py")]
    wrong = {
        str(path.relative_to(ROOT)): lines
        for path in everywhere
        if (lines := dangers(ast.parse(path.read_text(encoding="utf-8"))))
    }
    assert wrong == {}


def test_the_danger_check_has_teeth():
    bad = (
        "import pickle\neval('1')\nsubprocess.run(x, shell=True)\nyaml.load(f)\nnp.load(f, allow_pickle=True)\nexec('')"
    )
    assert dangers(ast.parse(bad)) == [1, 2, 3, 4, 5, 6]
    assert dangers(ast.parse("import json\napp.exec()\nsubprocess.run(x, shell=False)")) == []


def set_iterations(tree: ast.Module) -> list[int]:
    """Return the lines that go through a set in its own order."""

    def is_set(node: ast.AST | None) -> bool:
        if isinstance(node, ast.Set | ast.SetComp):
            return True
        if isinstance(node, ast.Call):
            return ast.unparse(node.func) in {"set", "frozenset"}
        return isinstance(node, ast.Name | ast.Attribute) and ast.unparse(node) in names

    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.AnnAssign | ast.arg) and node.annotation:
            if re.match(r"(set|frozenset|Set|AbstractSet)\b", ast.unparse(node.annotation)):
                names.add(node.arg if isinstance(node, ast.arg) else ast.unparse(node.target))
        elif isinstance(node, ast.Assign) and is_set(node.value):
            names.update(ast.unparse(target) for target in node.targets)
    lines = []
    for node in ast.walk(tree):
        through: list[ast.AST] = []
        if isinstance(node, ast.For | ast.comprehension):
            through = [node.iter]
        elif isinstance(node, ast.Starred):
            through = [node.value]
        elif isinstance(node, ast.Call) and ast.unparse(node.func).split(".")[-1] in {
            *("list", "tuple", "iter", "next", "enumerate", "map", "zip", "join", "reversed", "fromiter", "pop"),
        }:
            through = list(node.args)
        lines += [inner.lineno for inner in through if is_set(inner)]
    return sorted(lines)


def test_no_iteration_over_sets_in_layers_0_to_4():
    wrong = [
        places(source, lines)
        for source in pure_sources()
        if source.is_python and (lines := set_iterations(source.tree()))
    ]
    assert wrong == []


def test_the_set_check_has_teeth():
    bad = "s = {1, 2}\nfor x in s: pass\nlist(s)\n[y for y in set(z)]\nf(*s)\nt: frozenset[int]\ntuple(t)"
    assert set_iterations(ast.parse(bad)) == [2, 3, 4, 5, 7]
    assert set_iterations(ast.parse("s = {1}\nsorted(s)\nfor x in sorted(s): pass\n1 in s\nfor y in [1]: pass")) == []


@pytest.mark.parametrize("module", ["engine.model", "engine", "gui", "feeds", "mock_server"])
def test_a_small_import_does_not_load_the_world(module):
    heavy = [
        "engine.trading.kernel",
        "engine.cli",
        "engine.config.settings",
        "typer",
        "rich",
        "pydantic",
        "websockets",
        "asyncio",
        "polars",
    ]
    code = f"import sys, {module}; print([name for name in {heavy} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_only_risk_approves_orders():
    """E1: brokers take nothing but ``Approved``, and nothing but the gate makes one."""
    made = [
        f"{source.path.relative_to(ROOT)}:{node.lineno}"
        for source in python_sources()
        if source.module != "engine.account.risk"
        for node in ast.walk(source.tree())
        if isinstance(node, ast.Call) and ast.unparse(node.func).split(".")[-1] == "Approved"
    ]
    assert made == []


def test_brokers_take_nothing_but_approved_orders():
    classes = [
        node
        for source in python_sources()
        if source.module == "engine.ports" or source.module.startswith("engine.brokers.")
        for node in ast.walk(source.tree())
        if isinstance(node, ast.ClassDef) and node.name.endswith("Broker")
    ]
    taken = {
        argument.annotation
        for cls in classes
        for method in cls.body
        if isinstance(method, ast.FunctionDef) and not method.name.startswith("_")
        for argument in method.args.args
        if argument.annotation is not None
    }
    annotations = {ast.unparse(one) for one in taken}
    assert len(classes) >= 2
    assert "Approved" in annotations
    assert not {one for one in annotations if "Order" in one}


def test_a_build_notices_every_source_that_has_changed():
    """Cython does not look for what ``from engine cimport name`` names: a change in that file would not be built."""
    sources = [path for kind in ("*.pyx", "*.pxd") for path in (ROOT / "engine").glob(kind)]
    assert sources
    assert not [path.name for path in sources if re.search(r"^from engine cimport ", path.read_text(), re.MULTILINE)]
