"""What the parts of the compiler ask of it: series, comparisons and other instruments are made of what it compiles."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from engine import _program
from engine.graph.algebra import Value
from engine.graph.nodes import TRADES, Nodes, Parameters
from engine.language.grammar import Expr, Part


class Compiling(Protocol):
    """A compiler of one instrument's rules, as its parts see it (``engine.graph.compiler.Compiler``)."""

    @property
    def nodes(self) -> Nodes:
        """The graph that is being built."""

    @property
    def program(self) -> _program.Program:
        """What the graph is built in."""

    @property
    def others(self) -> Mapping[str, tuple[int, Compiling]]:
        """The compilers of all instruments by symbol, each with its number."""

    def clock_of(self, part: Part, parameters: Parameters) -> int | None:
        """The clock that a part ticks by; None: any will do."""

    def value(self, expr: Expr, parameters: Parameters, clock: int = TRADES) -> Value:
        """Build an expression on a clock."""

    def condition_on(self, part: Part, parameters: Parameters, clock: int, *, negated: bool = False) -> int:
        """Build a condition on a clock; returns its column."""

    def is_exact(self, part: Part, parameters: Parameters) -> bool:
        """Whether each comparison that a compiled part rests on was decided exactly."""
