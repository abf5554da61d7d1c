"""What is installed: exactly the four packages, typed, with the declared commands, libraries and extras."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from email.parser import HeaderParser
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("engine", "feeds", "gui", "mock_server")
CORE = ["numpy", "orjson", "websockets", "uvloop", "typer", "rich", "structlog", "pydantic-settings"]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> zipfile.ZipFile:
    """Return a wheel without compiled modules: they take long to build, and .ci/run installs a complete one."""
    source = tmp_path_factory.mktemp("source")
    for name in ("pyproject.toml", "setup.py", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    for package in PACKAGES:
        leave_out = shutil.ignore_patterns("__pycache__", "*.so", "*.pyd")
        shutil.copytree(ROOT / package, source / package, ignore=leave_out)
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(source / "dist")]
    environment = os.environ | {"MICROBURST_ONLY": "none"}
    done = subprocess.run(command, cwd=source, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    return zipfile.ZipFile(next((source / "dist").glob("*.whl")))


def test_exactly_the_four_packages(wheel):
    tops = {name.split("/")[0] for name in wheel.namelist()}
    assert {top for top in tops if not top.endswith(".dist-info")} == set(PACKAGES)


def test_every_python_module_and_type_information_is_there(wheel):
    expected = {
        path.relative_to(ROOT).as_posix()
        for package in PACKAGES
        for pattern in ("*.py", "*.pyi", "*.pxd", "*.h", "*.css", "*.js", "py.typed")
        for path in (ROOT / package).rglob(pattern)
    }
    packed = {name for name in wheel.namelist() if ".dist-info/" not in name}
    assert packed == expected, "neither less nor more: no C, no Cython sources, no data of the tests"


def test_every_compiled_module_is_typed():
    for source in (ROOT / "engine").glob("*.pyx"):
        assert source.with_suffix(".pyi").is_file(), source.name


def test_metadata(wheel):
    name = next(name for name in wheel.namelist() if name.endswith(".dist-info/METADATA"))
    metadata = HeaderParser().parsestr(wheel.read(name).decode())
    assert metadata["Name"] == "microburst"
    assert metadata["License-Expression"] == "Apache-2.0"
    assert metadata["Requires-Python"] == ">=3.11"
    assert set(metadata.get_all("Provides-Extra")) == {"gui", "data", "calendars", "rivals", "all", "dev"}
    core = [line for line in metadata.get_all("Requires-Dist") if "extra ==" not in line]
    assert sorted(re.split(r"[<>=;\[ ]", line)[0].lower() for line in core) == sorted(CORE)
    assert any(name.endswith("/licenses/LICENSE") for name in wheel.namelist())


def test_console_commands(wheel):
    name = next(name for name in wheel.namelist() if name.endswith("entry_points.txt"))
    lines = [line for line in wheel.read(name).decode().splitlines() if "=" in line]
    assert lines == [f"{command} = {target}" for command, target in PROJECT["scripts"].items()]
    assert list(PROJECT["scripts"]) == ["microburst", "microburst-gui", "microburst-mock"]


def test_all_is_everything_a_user_runs():
    assert PROJECT["optional-dependencies"]["all"] == ["microburst[gui,data,calendars]"]


def test_the_licence_is_the_full_text():
    text = (ROOT / "LICENSE").read_text(encoding="utf-8")
    assert "Apache License" in text
    assert "END OF TERMS AND CONDITIONS" in text
