"""The embedded mock market: a child process on a free port that ends with its parent."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from fractions import Fraction

from engine.errors import UnreachableError

LISTENING = "listening "
STOPPED = "stopped: "
START_TIMEOUT_S = 15.0
STOP_TIMEOUT_S = 3.0


class EmbeddedMarket:
    """Starts ``python -m mock_server --port 0`` and stops it again. Its address is known once it has started."""

    def __init__(self) -> None:
        self.address = ""
        self._process: asyncio.subprocess.Process | None = None

    async def start(self, rate: Fraction) -> str:
        """Start the market, at so many trades per second, and return its address.

        Raises:
            UnreachableError: it did not come up; with its last line.
        """
        command = [sys.executable, "-m", "mock_server", "--port", "0", "--rate", f"{float(rate):g}"]
        command += ["--exit-with-parent"]
        self._process = await asyncio.create_subprocess_exec(
            *command,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            start_new_session=True,  # Ctrl-C is for the engine, which then stops the market itself
        )
        assert self._process.stdout is not None
        last = "it said nothing"
        try:
            async with asyncio.timeout(START_TIMEOUT_S):
                while line := (await self._process.stdout.readline()).decode(errors="replace"):
                    if line.startswith(LISTENING):
                        self.address = line.removeprefix(LISTENING).strip()
                        return self.address
                    last = line.strip() or last
        except TimeoutError:
            pass
        await self.stop()
        raise UnreachableError(f"the embedded mock market did not start: {last}", fix="try: python -m mock_server")

    async def stop(self) -> str:
        """End the child, kindly first; return its own account of what it did, or "" if there is none."""
        process, self._process = self._process, None
        if process is None:
            return ""
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        try:
            async with asyncio.timeout(STOP_TIMEOUT_S):
                said, _ = await process.communicate()
        except BaseException as error:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()
            if isinstance(error, TimeoutError):
                return ""
            raise
        lines = said.decode(errors="replace").splitlines()
        return next((line for line in reversed(lines) if line.startswith(STOPPED)), "")
