"""Benchmarks: ``pytest benchmarks/ --benchmark`` (all of them) and ``python -m benchmarks.rivals`` (the peers)."""
