"""The journal of a run: every decision, in the order in which it was made."""

from __future__ import annotations

from hashlib import blake2b

from engine.events import Decision, encode


class MemoryJournal:
    """Keeps decisions in a list."""

    def __init__(self) -> None:
        self.decisions: list[Decision] = []
        self.append = self.decisions.append

    @property
    def decision_hash(self) -> str:
        """Hash of every decision so far; equal hashes mean equal decisions."""
        folded = blake2b(digest_size=16)
        for decision in self.decisions:
            folded.update(encode(decision))
        return folded.hexdigest()
