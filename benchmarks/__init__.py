"""Benchmarks: ``pytest benchmarks/ --benchmark`` runs all of them.

``python -m benchmarks.rivals`` and ``python -m benchmarks.rivals.features`` are the peers.
"""
