"""Golden files, and the fifty sessions whose decisions must never change by themselves."""
