"""A figure of a run: price with entries and exits above, the result of the closed trades below, one time axis."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate
from typing import Any

import numpy as np

from engine.account.portfolio import Trade
from engine.errors import MissingExtraError
from engine.model import Kind, TickBlock
from engine.store.ticks import TickFile

MAX_POINTS = 20_000
UP, DOWN, LINE = "#26A69A", "#EF5350", "#787B86"


def figure(file: TickFile, trades: Sequence[Trade], title: str) -> Any:
    """Return a plotly figure. Of more than 20,000 prints each stretch shows its lowest and its highest.

    Raises:
        MissingExtraError: plotly is not installed.
    """
    try:
        from plotly import graph_objects as go
        from plotly.subplots import make_subplots
    except ImportError:
        raise MissingExtraError("a plot", "data") from None
    made = make_subplots(rows=2, shared_xaxes=True, row_heights=[0.72, 0.28], vertical_spacing=0.04)
    for index, instrument in enumerate(file.instruments):
        rows = shown_rows(file.block, index)
        prices = file.block.price_ticks[rows] * 10.0**-instrument.price_precision
        times = file.block.ts_ns[rows].astype("datetime64[ns]")
        made.add_trace(go.Scattergl(x=times, y=prices, name=instrument.symbol, line={"width": 1, "color": LINE}), 1, 1)
    for side, marker, colour in (("long", "triangle-up", UP), ("short", "triangle-down", DOWN)):
        chosen = [trade for trade in trades if trade.side == side]
        made.add_trace(
            go.Scattergl(
                x=np.array([trade.entry_ts_ns for trade in chosen], "datetime64[ns]"),
                y=[float(trade.entry_price) for trade in chosen],
                mode="markers",
                name=f"enter {side}",
                marker={"symbol": marker, "size": 10, "color": colour},
            ),
            1,
            1,
        )
    made.add_trace(
        go.Scattergl(
            x=np.array([trade.exit_ts_ns for trade in trades], "datetime64[ns]"),
            y=[float(trade.exit_price) for trade in trades],
            mode="markers",
            name="exit",
            text=[f"{trade.reason} net {float(trade.net):+g}" for trade in trades],
            marker={"symbol": "circle-open", "size": 8, "color": "#F5A623"},
        ),
        1,
        1,
    )
    made.add_trace(
        go.Scatter(
            x=np.array([trade.exit_ts_ns for trade in trades], "datetime64[ns]"),
            y=list(accumulate(float(trade.net) for trade in trades)),
            name="net result",
            line={"shape": "hv", "width": 1.5, "color": "#5B8DEF"},
        ),
        2,
        1,
    )
    made.update_layout(title={"text": title, "font": {"size": 12}}, template="plotly_white", hovermode="closest")
    made.update_yaxes(title_text="price", row=1, col=1)
    made.update_yaxes(title_text="net", row=2, col=1)
    return made


def shown_rows(block: TickBlock, instrument: int, most: int = MAX_POINTS) -> np.ndarray[Any, np.dtype[np.intp]]:
    """Rows of an instrument's trades, thinned to extremes where there are more than a figure can use."""
    chosen = np.ones(len(block), bool) if block.kind is None else block.kind == Kind.TRADE
    if block.instrument is not None:
        chosen &= block.instrument == instrument
    rows = np.flatnonzero(chosen)
    if len(rows) <= most:
        return rows
    parts = np.array_split(rows, max(1, most // 2))
    prices = block.price_ticks
    extremes = [(part[prices[part].argmin()], part[prices[part].argmax()]) for part in parts]
    return np.unique(np.array(extremes))
