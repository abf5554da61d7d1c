"""The same rule on the same generated ticks, by us and by others, in one process.

``python -m benchmarks.rivals`` prints the table. The peers are an optional extra (``pip install -e '.[rivals]'``;
it wants an environment of its own, since hftbacktest holds NumPy below 2.3) and a peer that is not installed is skipped
with that line.

Every module here has ``prepare(ticks, rule)``, which turns the columns into what the peer reads (not timed: each peer
gets its ticks in memory in its own format), and ``run(prepared)``, which returns the trades (timed). Compilation is
warmed up on a small sample first and not timed either.
"""
