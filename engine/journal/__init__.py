"""The journal: every input and decision of a session in one sequence on disk."""
