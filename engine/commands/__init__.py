"""The verbs of the command line, one module each; :mod:`engine.cli` puts them together."""
