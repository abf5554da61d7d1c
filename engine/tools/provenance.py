"""Which code made a result: hashes of the engine's sources, of its compiled modules, and of the strategy's file."""

from __future__ import annotations

import hashlib
import inspect
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import orjson

from engine.strategy import Strategy

PACKAGE = Path(__file__).resolve().parents[1]


def provenance(strategies: Sequence[type[Strategy]], decides: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a passport says of the code.

    Args:
        strategies: their files are hashed, so that an edited strategy is seen even where its parameters are equal.
        decides: parameters and settings; plain values.

    Returns:
        ``engine_version``; ``code_sha256`` of the engine's Python sources; ``build_sha256`` of its compiled modules,
        which differs between machines and compilers; ``strategy_sha256`` of the strategy's file, None of a class
        without one, and of several strategies those of all, in order; ``config_sha256`` of ``decides``.
    """
    return {
        "engine_version": _engine_version(),
        "code_sha256": code_hash(),
        "build_sha256": build_hash(),
        "strategy_sha256": strategies_hash(strategies),
        "config_sha256": hashlib.sha256(orjson.dumps(decides, option=orjson.OPT_SORT_KEYS)).hexdigest(),
    }


def code_hash() -> str:
    """Return the SHA-256 of the engine's Python sources."""
    return _hash_of("*.py")


def build_hash() -> str:
    """Return the SHA-256 of the engine's compiled modules."""
    return _hash_of("*.so", "*.pyd")


def _engine_version() -> str | None:
    try:
        return version("microburst")
    except PackageNotFoundError:
        return None


@cache
def _hash_of(*patterns: str) -> str:
    return hash_files(PACKAGE, (path for pattern in patterns for path in PACKAGE.rglob(pattern)))


def hash_files(root: Path, paths: Iterable[Path]) -> str:
    """Return the SHA-256 of files: of their names below ``root`` and their bytes, in the order of the names."""
    digest = hashlib.sha256()
    for name, path in sorted((path.relative_to(root).as_posix(), path) for path in paths):
        data = path.read_bytes()
        digest.update(f"{name} {len(data)}\n".encode())
        digest.update(data)
    return digest.hexdigest()


def strategies_hash(strategies: Sequence[type[Strategy]]) -> str | None:
    """Return the SHA-256 of each strategy's file, in order; None where no class has one."""
    return " ".join(filter(None, map(_strategy_hash, strategies))) or None


def _strategy_hash(strategy: type[Strategy]) -> str | None:
    try:
        source = inspect.getsourcefile(strategy)
        return None if source is None else hashlib.sha256(Path(source).read_bytes()).hexdigest()
    except (OSError, TypeError):  # typed into a shell, or the file has gone since
        return None
