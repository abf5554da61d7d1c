"""What runs on every tick is C and nothing else: no Python object is touched, made, or kept.

The translated C of each hot function is read for calls of Python's own; then a million ticks on which nothing fires go
through, and no block of Python's memory may be left over.
"""

from __future__ import annotations

import gc
import re
import resource
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from engine import _core
from engine.graph.compiler import Compiler
from engine.model import Instrument
from engine.strategies.momentum_burst import MomentumBurst

ROOT = Path(__file__).resolve().parents[1]
ENGINE = ROOT / "engine"

METHODS = ("append", "append_plain_trades", "begin_block", "finish_block", "fill_block", "next_event", "alarm_key")
METHODS += ("next_block", "come_to_cut", "begin_time_block", "run", "take", "research", "price_before", "objection")
METHODS += ("read_record", "evaluate_graphs", "copy_taps", "append_plain_trade", "note_plain_trades", "search_block")
METHODS += ("is_plain", "pass_plain_trades", "may_fire")
FUNCTIONS = ("run_clock", "carry_forward", "take_quotes")
RUN_BY_THE_CORE = ("_tape", "_graph", "_steps", "_lanes", "_management", "_account", "_resting", "_barpath")
WORK = ("_tails", "_windows", "_anchored", "_values", "_series", "_bars", "_market")

PYTHON_CALL = re.compile(
    r"\b(?:Py[A-Z]\w*_\w+|_Py_\w+|Py_X?(?:INC|DEC)REF|__Pyx_X?(?:INC|DEC|GOT|GIVE)REF|__Pyx_(?:Py|Get|Set|Raise|Add|Write|"
    r"Refnanny|RefNanny)\w*)\s*\("
)


def declared(header: str) -> list[str]:
    """Every function that a header of the core defines."""
    text = (ENGINE / f"{header}.pxd").read_text(encoding="utf-8")
    found = re.findall(r"^cdef inline [\w* ]*?(\w+)\(", text, re.MULTILINE)
    assert len(found) >= 3
    return found


@pytest.fixture(scope="module")
def bodies(tmp_path_factory) -> dict[str, str]:
    """The C functions of the core and of the graph builder by name, of what is compiled or would be."""
    found = {}
    for module in ("_core", "_program"):
        text = re.sub(r"/\*.*?\*/", "", translated(module, tmp_path_factory), flags=re.DOTALL)
        head = re.compile(r"^(?:static|CYTHON_INLINE)[^;{}=]*?\b(__pyx_f_\w+)\([^;{}]*\)\s*\{", re.MULTILINE)
        for match in head.finditer(text):
            found[match[1]] = text[match.end() : text.index("\n}", match.end())]
    return found


def translated(module: str, places: pytest.TempPathFactory) -> str:
    """The C of a module: that which was built, unless a source has changed since or it was built to be traced."""
    built = ENGINE / f"{module}.c"
    sources = [*ENGINE.glob("*.pyx"), *ENGINE.glob("*.pxd")]
    if built.exists() and built.stat().st_mtime_ns > max(source.stat().st_mtime_ns for source in sources):
        text = built.read_text(encoding="utf-8")
        if "__Pyx_TraceLine" not in text:
            return text
    output = places.mktemp("translated") / f"{module}.c"
    directives = "boundscheck=False,wraparound=False,initializedcheck=False,cdivision=True"
    command = [sys.executable, "-m", "cython", "-3", "-X", directives, "-o", str(output), f"engine/{module}.pyx"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    return output.read_text(encoding="utf-8")


def body_of(bodies: dict[str, str], name: str, home: str = r"\w+") -> str:
    exact = [body for full, body in bodies.items() if re.search(rf"\d{home}_{name}$", full)]
    matches = [body for full, body in bodies.items() if re.fullmatch(rf"__pyx_f_6engine_\d+_\w*?_?{name}", full)]
    assert exact or matches, f"{name} is not in the translated core"
    return (exact or matches)[0]


@pytest.mark.parametrize(
    ("home", "name"),
    [
        *((r"\w*", name) for name in (*METHODS, *FUNCTIONS)),
        *((header, name) for header in (*RUN_BY_THE_CORE, *WORK) for name in declared(header)),
    ],
)
def test_no_python_in_a_hot_function(bodies, home, name):
    body = body_of(bodies, name, home)
    assert body.strip()
    assert PYTHON_CALL.findall(body) == []


def test_the_reading_would_find_python(bodies):
    """A function that does touch objects is found out, or else the test above proves nothing."""
    assert PYTHON_CALL.findall(body_of(bodies, "run_with_callback"))
    assert PYTHON_CALL.findall(body_of(bodies, "set_terms"))


def quiet_core() -> _core.Core:
    """Momentum burst and a view of the session's VWAP over a market that hardly moves."""
    compiler = Compiler(Instrument("QUIET"))
    strategy = MomentumBurst()
    rule = compiler.rule(*strategy.conditions(), strategy.parameters)
    compiler.catalogue.session_vwap()
    compiler.catalogue.session_vwap_sd()
    core = _core.Core([compiler.program])
    core.add_lane(0, rule.state, rule.warm_up.ns, rule.warm_up.trades)
    core.set_account(10**9, 0)
    core.set_holding(0, 5, 10, 10_000)
    return core


def blocks_after(work: object) -> int:
    gc.collect()
    before = sys.getallocatedblocks()
    work()  # type: ignore[operator]
    gc.collect()
    return sys.getallocatedblocks() - before


def test_a_million_ticks_leave_nothing_behind():
    n = 1_000_000
    ts = np.arange(2 * n) * 1_000_000
    price = 10_000 + (np.arange(2 * n) // 7 % 2)
    size = np.full(2 * n, 3)
    core = quiet_core()
    events: list[int] = []

    def advance(first: int) -> None:
        core.load(ts[first : first + n], price[first : first + n], size[first : first + n])
        events.append(core.advance())

    advance(0)  # the ring has its size now
    resident = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    left = blocks_after(lambda: advance(n))
    assert set(events) == {_core.NONE}
    assert core.trades_seen == 2 * n
    assert left <= 12, "views of the columns, not objects of the ticks"
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - resident < 2_000, "kilobytes"


def test_pushed_ticks_leave_nothing_behind():
    core = quiet_core()

    def push(first: int) -> None:
        for i in range(first, first + 100_000):
            core.push(0, i * 1_000_000, 10_000 + i % 2, 3)

    push(0)
    assert blocks_after(lambda: push(100_000)) <= 4
    assert core.trades_seen == 200_000


@settings(max_examples=20, deadline=None)
@given(st.integers(1, 2000))
@example(512)
@example(513)
def test_how_many_ticks_is_no_matter(length):
    core = quiet_core()
    columns = [np.arange(length) * 1000, np.full(length, 10_000), np.full(length, 1)]
    core.load(*columns)
    core.advance()
    later = columns[0] + 10**9

    def work() -> None:
        core.load(later, columns[1], columns[2])
        core.advance()

    assert blocks_after(work) <= 40, "views of the columns, and what the drawing of examples keeps"
