"""The journal of a simulated session: the real one, whose decisions are kept for the audit as well."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from engine.config.settings import Config
from engine.events import Decision
from engine.journal.writer import SessionJournal
from engine.live.recording import manifest_of
from engine.model import Instrument


class KeptJournal(SessionJournal):
    """Keeps in memory, too, what it has written."""

    def __init__(self, directory: Path, manifest: dict[str, Any], **more: Any) -> None:
        super().__init__(directory, manifest, **more)
        self.decisions: list[Decision] = []

    def append(self, decision: Decision) -> None:
        super().append(decision)
        self.decisions.append(decision)


def open_kept(directory: Path, config: Config, instruments: Sequence[Instrument], **more: Any) -> KeptJournal:
    """Start a journal; ``more`` is what ``SessionJournal`` takes: the size of its files, and its disk."""
    manifest = manifest_of(config, instruments, session=directory.name, mode="PAPER", clock="receive")
    return KeptJournal(directory, manifest, **more)
