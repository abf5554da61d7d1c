"""Both 128-bit implementations: rounding to a double as Python rounds, and equal results for whole programs.

The portable one serves compilers without ``__int128``; here it is built beside the native one and asked the same.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from hashlib import blake2b
from pathlib import Path
from random import Random

import pytest

from engine import _core, _program
from tests.oracle.features import MAX_INPUT
from tests.props.core_board import make_board

ROOT = Path(__file__).resolve().parents[2]
X, Y = 2**39, 2**24  # price and size of the one trade: their product makes room for 63 lower bits


def doubles_asked() -> list[tuple[int, int]]:
    """Pairs ``(a, b)`` whose ``a * 2**63 + b`` lie on and beside every kind of rounding boundary."""
    rng = Random(128)
    pairs = [(0, 0), (0, 1), (0, -1), (1, 0), (2**63 - 1, 2**63 - 1), (-(2**63 - 1), -(2**63 - 1))]
    for bits in range(50, 64):
        for _ in range(8):
            a = rng.getrandbits(bits) | 1 << (bits - 1)
            for last in (a | 1, a & ~1, (a | 2) | 1, ((a | 2) & ~1)):
                pairs += [(sign * min(last, 2**63 - 1), b) for sign in (1, -1) for b in (0, 1, -1)]
    pairs += [(rng.randint(-(2**20), 2**20), rng.randint(-(2**63) + 1, 2**63 - 1)) for _ in range(200)]
    pairs += [(0, rng.getrandbits(rng.randint(1, 63))) for _ in range(100)]
    return pairs


def doubles_of_the_core() -> list[float]:
    """What the core makes of each pair."""
    program = _program.Program()
    price, size = _program.PRICE_COLUMN, _program.SIZE_COLUMN
    columns = [program.ratio([(a, (price, size)), (b, ())], [(1, ())]) for a, b in doubles_asked()]
    core = _core.Core([program])
    core.push(0, 0, X, Y)
    return [core.value(0, column) for column in columns]


def digest_of_programs() -> str:
    """Every column over random trades at and between the extremes, as one hash."""
    rng = Random(64)
    values = [1, 2, 3, 2**20, 10**8, 2**32 - 1, 2**32, 2**39, MAX_INPUT - 1, MAX_INPUT]
    digest = blake2b(digest_size=16)
    board = make_board([("time", 40), ("count", 7), ("time", 5)])
    core = _core.Core([board.program])
    for i in range(4_000):
        core.push(0, i, rng.choice([*values, rng.randint(1, MAX_INPUT)]), rng.choice([*values, rng.randint(1, 10**9)]))
        if i % 500 == 250:
            core.begin_session(0)
        digest.update(repr(board.read(core, 0)).encode())
    core.set_account(-(10**36), -(10**36) - 5)
    core.set_holding(0, -MAX_INPUT, 10**9, core.price(0))
    event = core.push(0, 5_000, MAX_INPUT, 1)
    digest.update(repr((event, core.equity, core.drawdown, core.peak)).encode())
    return digest.hexdigest()


@pytest.fixture(scope="module")
def portable(tmp_path_factory) -> dict[str, object]:
    """What a core built without ``__int128`` answers."""
    place = tmp_path_factory.mktemp("portable")
    (place / "engine").mkdir()
    setup = (ROOT / "setup.py").read_text(encoding="utf-8")
    assert '"-O3"' in setup
    (place / "setup.py").write_text(setup.replace('"-O3"', '"-O0"'), encoding="utf-8")  # a tenth of the time
    shutil.copy2(ROOT / "engine" / "__init__.py", place / "engine")
    headers = [*(ROOT / "engine").glob("*.pxd"), *(ROOT / "engine").glob("*.h")]
    modules = [file for name in ("_core", "_program") for file in (ROOT / "engine").glob(f"{name}.*")]
    for file in {*headers, *modules}:
        if file.suffix in (".pyx", ".pxd", ".h", ".c"):  # the C file spares translating once more if it is fresh
            shutil.copy2(file, place / "engine")
    environment = os.environ | {"MICROBURST_PORTABLE_INT128": "1", "MICROBURST_ONLY": "_core,_program"}
    build = [sys.executable, "setup.py", "-q", "build_ext", "--inplace"]
    done = subprocess.run(build, cwd=place, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    ask = "import tests.unit.test_int128 as t; t.answer()"
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(place), str(ROOT)])}
    done = subprocess.run(
        [sys.executable, "-c", ask], cwd=place, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    answer: dict[str, object] = json.loads(done.stdout)
    assert Path(str(answer["file"])).is_relative_to(place), "the portable build was asked, not this one"
    return answer


def answer() -> None:
    """Print what this process's core says; run by the fixture in a process of its own."""
    doubles = [value.hex() for value in doubles_of_the_core()]
    print(json.dumps({"file": _core.__file__, "doubles": doubles, "digest": digest_of_programs()}))


def test_doubles_are_rounded_once_to_nearest_even():
    assert doubles_of_the_core() == [float(a * 2**63 + b) for a, b in doubles_asked()]


def test_portable_doubles_are_the_same(portable):
    assert portable["doubles"] == [value.hex() for value in doubles_of_the_core()]


def test_portable_programs_give_the_same(portable):
    assert portable["digest"] == digest_of_programs()
