"""Expressions of the rule language from text, as ``microburst features --feature`` takes them.

The text is parsed, never run: it may name the words of the vocabulary, call them, and join what they make with the
operators of the language. Nothing else of Python has a meaning here, so a text cannot do anything but describe.
"""

from __future__ import annotations

import ast
import inspect
import operator
from collections.abc import Callable
from typing import Any, Never

from engine.errors import UserError, nearest
from engine.language.grammar import Condition, Expr, Part, Quantity, RuleError, said, way_out
from engine.language.measures import COUNTED, Feature
from engine.language.vocabulary import answer_to, nearest_word, usage_of, values_of, words

LONGEST = 2_000
"""Characters of an expression; more is a mistake, or an attack."""

BINARY: dict[type[ast.AST], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.BitAnd: operator.and_,
    ast.BitOr: operator.or_,
}
UNARY: dict[type[ast.AST], Callable[[Any], Any]] = {ast.USub: operator.neg, ast.Invert: operator.invert}
COMPARED: dict[type[ast.AST], Callable[[Any, Any], Any]] = {
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
}

REFUSED: dict[type[ast.AST], str] = {
    ast.BoolOp: "join conditions with & and | instead of and and or, each in brackets",
    ast.IfExp: "write where(condition, x, y)",
    ast.Compare: "put each comparison in brackets, as in (x > 1) & (x < 3), or write between(x, low, high)",
    ast.Subscript: "for the value n records ago write previous(x, n)",
}
"""What to write instead of something that only Python has."""


def parse_expression(text: str, place: str) -> Part:
    """Return the expression or condition that ``text`` describes.

    Args:
        text: such as ``change(seconds(15)) >= pct("0.05")``.
        place: where it was written, for the message.

    Raises:
        RuleError: it is not of the rule language; with the word that was meant, or what to write instead.
    """
    if len(text) > LONGEST:
        raise RuleError(f"{len(text):,} characters are no expression", where=place, fix=f"at most {LONGEST:,}")
    try:
        made = _read(ast.parse(text.strip(), mode="eval").body)
    except (SyntaxError, ValueError) as error:
        reason = error.msg if isinstance(error, SyntaxError) else str(error)
        what = f"{shortened(text)!r} is not an expression ({reason})"
        raise RuleError(what, where=place, fix="write for example change(seconds(15))") from None
    except (RecursionError, MemoryError):
        raise RuleError("the expression is nested too deeply", where=place, fix="write a simpler one") from None
    except UserError as error:
        raise RuleError(
            f"{error.where}: {error.what}" if error.where else error.what, where=place, fix=error.fix
        ) from None
    if isinstance(made, Expr | Condition):
        return made
    raise RuleError(f"{shortened(text)} is not a feature", where=place, fix=_to_a_feature(made))


def shortened(text: str) -> str:
    """The beginning of a text that is too long for a message."""
    return text if len(text) <= 80 else f"{text[:77]}…"


def _to_a_feature(made: Any) -> str:
    if isinstance(made, Quantity):
        return f"use it as a window or in a comparison: change({made})"
    if _is_function(made):
        return f"it needs its brackets: {usage_of(made)}"
    return way_out(made) or "write for example change(seconds(15)), or price > 100"


def _read(node: ast.expr) -> Any:
    match node:
        case ast.Constant(value=bool() | None):
            return _refuse(node)
        case ast.Constant(value=int() | float() | str()):
            return node.value
        case ast.Name():
            return _word(node.id)
        case ast.Attribute():
            return _attribute(_read(node.value), node.attr)
        case ast.Call():
            return _call(node)
        case ast.Tuple():  # the classes of a Regime
            return tuple(map(_read, node.elts))
        case ast.BinOp() if type(node.op) in BINARY:
            return _apply(node, BINARY[type(node.op)], _read(node.left), _read(node.right))
        case ast.UnaryOp() if type(node.op) in UNARY:
            return _apply(node, UNARY[type(node.op)], _read(node.operand))
        case ast.Compare(ops=[op], comparators=[right]) if type(op) in COMPARED:
            return _apply(node, COMPARED[type(op)], _read(node.left), _read(right))
    return _refuse(node)


def _refuse(node: ast.expr) -> Never:
    fix = REFUSED.get(type(node), "it has + - * /, comparisons, &, |, ~, and the words of docs/reference/features.md")
    raise RuleError(f"{shortened(ast.unparse(node))!r} is not of the rule language", fix=fix)


def _word(name: str) -> object:
    if name not in words():
        raise RuleError(f"the rule language has no {name!r}", fix=nearest_word(name))
    return words()[name]


def _attribute(of: object, name: str) -> object:
    """A value of a bar series or indicator, or ``rate`` of a count; nothing else of an object is reached."""
    known = ["rate"] if isinstance(of, Feature) and of.feature in COUNTED else [] if _is_function(of) else values_of(of)
    if name not in known:
        fix = nearest(name, known) if known else "bars and some indicators have named values: bars(minutes(5)).close"
        raise RuleError(f"{said(of)} has no {name!r}", fix=fix)
    return getattr(of, name)


def _is_function(made: object) -> bool:
    """Whether it is a word that takes brackets; every expression is callable in Python, to refuse it in words."""
    return isinstance(made, type) or inspect.isroutine(made)


def _call(node: ast.Call) -> object:
    function = _read(node.func)
    if not _is_function(function):
        raise RuleError(f"{ast.unparse(node.func)} takes no brackets", fix=f"write {ast.unparse(node.func)}")
    if any(isinstance(argument, ast.Starred) for argument in node.args) or any(
        key.arg is None for key in node.keywords
    ):
        _refuse(node)
    arguments = [_read(argument) for argument in node.args]
    return _apply(node, function, *arguments, **{key.arg or "": _read(key.value) for key in node.keywords})


def _apply(node: ast.expr, function: Callable[..., Any], *arguments: object, **named: object) -> Any:
    """Call a word or an operator; what Python would refuse is a mistake of the text like any other."""
    try:
        return function(*arguments, **named)
    except TypeError as error:
        fix = answer_to(error) or "operators take features, numbers and quantities such as pct('0.05')"
        raise RuleError(f"{ast.unparse(node)}: {error}", fix=fix) from None
    except (ArithmeticError, AttributeError, ValueError) as error:
        raise RuleError(f"{ast.unparse(node)}: {error}", fix="see docs/reference/rule-language.md") from None
