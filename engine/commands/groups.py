"""Groups of flags that several verbs have: declared once, as a dataclass, and handed over as one value."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import MISSING, fields, is_dataclass
from functools import wraps
from typing import Any, get_type_hints


def with_groups(command: Callable[..., None]) -> Callable[..., None]:
    """Let a verb take dataclasses of flags: on the command line each of their fields is a flag of its own.

    The fields are declared as the parameters of a verb are, ``Annotated`` with their option, and each has a default.
    """
    hints = get_type_hints(command, include_extras=True)
    groups = {name: kind for name, kind in hints.items() if isinstance(kind, type) and is_dataclass(kind)}
    parameters: list[inspect.Parameter] = []
    for parameter in inspect.signature(command).parameters.values():
        own = hints[parameter.name]
        flags = _flags_of(groups[parameter.name]) if parameter.name in groups else [parameter.replace(annotation=own)]
        parameters += [flag.replace(kind=inspect.Parameter.KEYWORD_ONLY) for flag in flags]

    @wraps(command)
    def taken_apart(**given: Any) -> None:
        for name, group in groups.items():
            given[name] = group(**{field.name: given.pop(field.name) for field in fields(group)})
        command(**given)

    taken_apart.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]  # what the parser reads
    taken_apart.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    del taken_apart.__wrapped__  # its parameters are not those of the command line
    return taken_apart


def _flags_of(group: type) -> list[inspect.Parameter]:
    hints = get_type_hints(group, include_extras=True)
    return [
        inspect.Parameter(
            field.name,
            inspect.Parameter.KEYWORD_ONLY,
            default=inspect.Parameter.empty if field.default is MISSING else field.default,
            annotation=hints[field.name],
        )
        for field in fields(group)
    ]


def given_flags(group: Any) -> list[str]:
    """The flags of a group that were given, as they are written on the command line."""
    hints = get_type_hints(type(group), include_extras=True)
    given = (field.name for field in fields(group) if getattr(group, field.name) not in (field.default, []))
    return [str(hints[name].__metadata__[0].default) for name in given]  # where typer keeps the first name of a flag
