"""The tests. Run with ``make test``."""
