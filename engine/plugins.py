"""Finding a strategy by what people type: a built-in name, an installed package's name, or ``path/to/file.py:Class``.

No folder is searched. A file is loaded only when it is named, and what is wrong in it is said with file and line.
"""

from __future__ import annotations

import difflib
import hashlib
import importlib
import importlib.util
import pkgutil
import re
import sys
import traceback
from collections.abc import Iterable
from functools import cache
from importlib.machinery import SourceFileLoader
from importlib.metadata import PackageNotFoundError, entry_points, version
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any

from engine.errors import ConfigError, NotFoundError, UserError, nearest
from engine.language.vocabulary import answer_to
from engine.strategy import Strategy

ENTRY_POINTS = "microburst.strategies"
"""The entry point group in which an installed package offers strategies."""


ALIASES = {"orb": "opening_range_breakout"}
"""Short names that people know."""


def strategy_names() -> list[str]:
    """Return the names of the built-in and installed strategies, sorted."""
    return sorted(_built_in() | {point.name for point in entry_points(group=ENTRY_POINTS)})


@cache
def _built_in() -> frozenset[str]:
    """The names of the modules in ``engine/strategies``."""
    shipped = Path(__file__).parent / "strategies"
    return frozenset(m.name for m in pkgutil.iter_modules([str(shipped)]) if not m.name.startswith("_"))


def origin_of(text: str) -> tuple[str, str]:
    """Where a strategy comes from, and its version.

    Returns:
        ``("microburst", version)`` of a built-in, the distribution and its version of an installed one, and of a file
        its path and the beginning of its SHA-256: a file has no other version.
    """
    file = text if text.endswith(".py") else text.rpartition(":")[0]
    if file.endswith(".py"):
        return file, hashlib.sha256(Path(file).read_bytes()).hexdigest()[:12]
    for point in entry_points(group=ENTRY_POINTS):
        if point.name == text and text not in _built_in() and point.dist is not None:
            return point.dist.name, point.dist.version
    try:
        return "microburst", version("microburst")
    except PackageNotFoundError:
        return "microburst", "from a checkout that is not installed"


def find_strategy(text: str) -> type[Strategy]:
    """Return the strategy class that ``text`` names.

    Raises:
        NotFoundError: no such name, file or class.
        ConfigError: the file cannot be loaded, or the class is not a strategy.
    """
    file, separator, class_name = text.rpartition(":")
    if separator and file.endswith(".py"):
        return _in_file(Path(file), class_name)
    if text.endswith(".py"):
        return _in_file(Path(text), "")
    text = ALIASES.get(text, text)
    if text in _built_in():
        return _only_strategy(importlib.import_module(f"engine.strategies.{text}"), text)
    for point in entry_points(group=ENTRY_POINTS):
        if point.name == text:
            return _checked(point.load(), text)
    fix = nearest(text, strategy_names())
    fix += " Or" if fix.endswith("?") else "; or"
    raise NotFoundError(f"there is no strategy '{text}'", fix=f"{fix} name a file: path/to/file.py:Class")


def _in_file(path: Path, class_name: str) -> type[Strategy]:
    if not path.is_file():
        raise NotFoundError("there is no such strategy file", where=str(path))
    module = _load(path)
    if not class_name:
        return _only_strategy(module, str(path))
    if not hasattr(module, class_name):
        found = [cls.__name__ for cls in _strategies_of(module)]
        raise NotFoundError(f"no class '{class_name}'", where=str(path), fix=nearest(class_name, found))
    return _checked(getattr(module, class_name), f"{path}:{class_name}")


class FromSource(SourceFileLoader):
    """Loads a file as it is now. Bytecode is taken for that of any text of the same length and second."""

    def get_code(self, fullname: str) -> CodeType:
        """Compile the file."""
        return self.source_to_code(self.get_data(self.path), self.path)


def print_beside(*values: object, file: Any = None, **how: Any) -> None:
    """``print`` of a strategy's file: to standard error, because standard output is for results, which others read."""
    print(*values, file=sys.stderr if file is None else file, **how)


def _load(path: Path) -> ModuleType:
    name = f"microburst_strategy_{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise ConfigError("not a Python file", where=str(path))
    if isinstance(spec.loader, SourceFileLoader):
        spec.loader = FromSource(name, str(path))
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses and typing look their module up by name
    vars(module)["print"] = print_beside
    try:
        spec.loader.exec_module(module)
    except UserError as error:
        what = f"{error.where}: {error.what}" if error.where else error.what
        raise ConfigError(what, where=_place(path, error), fix=error.fix) from None
    except SyntaxError as error:
        file = path if error.filename is None or _is_same(error.filename, path) else error.filename
        where = f"{file}:{error.lineno}" if error.lineno else str(file)
        fix = "Python cannot read this line, or the one before it"
        raise ConfigError(f"{type(error).__name__}: {error.msg}", where=where, fix=fix) from None
    except SystemExit as error:
        fix = "take that out: the file is read for what it declares"
        raise ConfigError("it ends the program while it is read", where=_place(path, error), fix=fix) from None
    except Exception as error:
        if fix := answer_to(error):  # a mistake in a rule that Python found: its sentence is enough
            what = str(error).replace("'NoneType'", "None")
            raise ConfigError(what, where=_place(path, error), fix=fix) from None
        fix = _hint(error, module)
        raise ConfigError(f"{type(error).__name__}: {error}", where=_place(path, error), fix=fix) from None
    return module


def _place(path: Path, error: BaseException) -> str:
    """Return ``file:line`` of the deepest frame of ``error`` that lies in the file itself; the file as it was typed."""
    frames = traceback.extract_tb(error.__traceback__)
    lines = [frame.lineno for frame in frames if _is_same(frame.filename, path)]
    return f"{path}:{lines[-1]}" if lines else str(path)


def _is_same(filename: str, path: Path) -> bool:
    """Whether Python's name of a source file, which is absolute, is the file that was typed."""
    return Path(filename).resolve() == path.resolve()


# --- Hints for what people mistype ------------------------------------------------------------------------------------

OURS = ("engine", "engine.rules", "engine.indicators", "engine.structure", "engine.regimes", "engine.strategy")
"""The modules that a strategy file imports from."""

_MISSING_IMPORT = re.compile(r"cannot import name '(\w+)' from '([\w.]+)'")


def _hint(error: Exception, module: ModuleType) -> str:
    """Return how to mend ``error``, raised while ``module`` was loaded; empty when that cannot be told."""
    match error:
        case ModuleNotFoundError() if str(error.name).startswith("engine."):
            return nearest(str(error.name).rpartition(".")[2], [name.rpartition(".")[2] for name in OURS[1:]])
        case ImportError():
            missing = _MISSING_IMPORT.match(str(error))
            return _nearest_in(missing[2], missing[1]) if missing and missing[2] in OURS else ""
        case AttributeError() if isinstance(error.obj, ModuleType) and error.obj.__name__ in OURS:
            return _nearest_in(error.obj.__name__, error.name or "")
        case NameError():
            return _missing_name(error.name or "", module)
    return ""


def _nearest_in(source: str, name: str) -> str:
    """Return the nearest name that the module called ``source`` offers; if it lacks it, the module that has it."""
    for other in OURS:
        if other != source and name in _offered(other):
            return f"it is in {other}: from {other} import {name}"
    return _did_you_mean(name, _offered(source)) or f"see what there is with: python -m pydoc {source}"


def _missing_name(name: str, module: ModuleType) -> str:
    for source in OURS:
        if name in _offered(source):
            return f"add: from {source} import {name}"
    if name in ("math", "np", "numpy"):
        return "rules have functions of their own: sqrt, log, abs, minimum, maximum"
    if name in ("time", "datetime"):
        return 'a time of day is at("10:30")'
    if name.isupper():
        return f'an instrument stands in quotes: "{name}"'
    known = {*vars(module), *(found for source in OURS for found in _offered(source))}
    return _did_you_mean(name, known) or "docs/reference/features.md lists the words of rules"


def _did_you_mean(name: str, names: Iterable[str]) -> str:
    close = difflib.get_close_matches(name, sorted(names), n=1)
    return f"did you mean '{close[0]}'?" if close else ""


def _offered(source: str) -> set[str]:
    """Return the names that one of our modules defines for others, not those that it imports."""
    module = importlib.import_module(source)
    listed = getattr(module, "__all__", None)
    return set(listed or (n for n, v in vars(module).items() if n[0] != "_" and _is_home(v, source)))


def _is_home(value: object, source: str) -> bool:
    """Whether ``value`` was made in the module ``source``: a function or class of it, or an instance of its classes."""
    return getattr(value, "__module__", None) == source


def _strategies_of(module: ModuleType) -> list[type[Strategy]]:
    return [
        value
        for value in vars(module).values()
        if isinstance(value, type) and issubclass(value, Strategy) and value.__module__ == module.__name__
    ]


def _only_strategy(module: ModuleType, where: str) -> type[Strategy]:
    found = _strategies_of(module)
    if len(found) == 1:
        return found[0]
    if not found:
        raise ConfigError("there is no strategy in it", where=where, fix="write a class that derives from Strategy")
    names = ", ".join(cls.__name__ for cls in found)
    raise ConfigError(f"more than one strategy: {names}", where=where, fix=f"name one: {where}:{found[0].__name__}")


def _checked(found: object, where: str) -> type[Strategy]:
    if isinstance(found, type) and issubclass(found, Strategy):
        return found
    raise ConfigError("not a strategy", where=where, fix="derive the class from engine.Strategy")
