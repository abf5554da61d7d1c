"""Finding a strategy by what people type: a built-in name, an installed package's name, or ``path/to/file.py:Class``.

No folder is searched. A file is loaded only when it is named, and what is wrong in it is said with file and line.
"""

from __future__ import annotations

import importlib
import importlib.util
import pkgutil
import sys
import traceback
from functools import cache
from importlib.metadata import entry_points
from pathlib import Path
from types import ModuleType

from engine import rules
from engine.errors import ConfigError, NotFoundError, UserError, nearest
from engine.strategy import Strategy

ENTRY_POINTS = "microburst.strategies"
"""The entry point group in which an installed package offers strategies."""


def strategy_names() -> list[str]:
    """Return the names of the built-in and installed strategies, sorted."""
    return sorted(_built_in() | {point.name for point in entry_points(group=ENTRY_POINTS)})


@cache
def _built_in() -> frozenset[str]:
    """The names of the modules in ``engine/strategies``."""
    shipped = Path(__file__).parent / "strategies"
    return frozenset(m.name for m in pkgutil.iter_modules([str(shipped)]) if not m.name.startswith("_"))


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
    if text in _built_in():
        return _only_strategy(importlib.import_module(f"engine.strategies.{text}"), text)
    for point in entry_points(group=ENTRY_POINTS):
        if point.name == text:
            return _checked(point.load(), text)
    names = strategy_names()
    fix = f"{nearest(text, names)} or name a file: path/to/file.py:Class"
    raise NotFoundError(f"there is no strategy '{text}'", fix=fix)


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


def _load(path: Path) -> ModuleType:
    name = f"microburst_strategy_{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise ConfigError("not a Python file", where=str(path))
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses and typing look their module up by name
    try:
        spec.loader.exec_module(module)
    except UserError as error:
        what = f"{error.where}: {error.what}" if error.where else error.what
        raise ConfigError(what, where=_place(path, error), fix=error.fix) from None
    except SyntaxError as error:
        raise ConfigError(f"{type(error).__name__}: {error.msg}", where=f"{error.filename}:{error.lineno}") from None
    except Exception as error:
        what, fix = f"{type(error).__name__}: {error}", _correction(error, module)
        raise ConfigError(what, where=_place(path, error), fix=fix) from None
    return module


def _correction(error: Exception, module: ModuleType) -> str:
    """Name the nearest existing word for a name that does not exist, when it is the engine's or the file's own."""
    wrong, known = "", []
    if isinstance(error, ModuleNotFoundError) and (error.name or "").startswith("engine."):
        package, _, wrong = (error.name or "").rpartition(".")
        known = [found.name for found in pkgutil.iter_modules(getattr(sys.modules.get(package), "__path__", []))]
    elif isinstance(error, ImportError) and error.name in sys.modules and error.name.startswith("engine"):
        wrong, known = str(error).partition("'")[2].partition("'")[0], dir(sys.modules[error.name])
    elif isinstance(error, NameError):
        wrong, known = error.name or "", [*vars(module), *dir(rules)]
    return nearest(wrong, [name for name in known if not name.startswith("_")]) if wrong else ""


def _place(path: Path, error: BaseException) -> str:
    """Return ``file:line`` of the deepest frame of ``error`` that lies in the file itself."""
    frames = traceback.extract_tb(error.__traceback__)
    lines = [frame.lineno for frame in frames if frame.filename == str(path)]
    return f"{path}:{lines[-1]}" if lines else str(path)


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
