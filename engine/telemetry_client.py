"""The shell's side of telemetry: give one command to a running session, and hear that it was obeyed."""

from __future__ import annotations

import socket

from engine.errors import UnreachableError
from engine.secret import Secret
from engine.telemetry_wire import (
    VERSION,
    Command,
    Done,
    Endpoint,
    FrameReader,
    Hello,
    Refused,
    WireError,
    decode,
    encode,
)

TIMEOUT_S = 3.0

REFUSALS = {
    "token": "it does not accept this user's token",
    "scope": "it takes no commands from this user",
    "version": "it is another version of microburst",
    "full": "it already has as many viewers as it serves",
}


def ask(endpoint: Endpoint, control: Secret, command: Command, *, timeout_s: float = TIMEOUT_S) -> Done:
    """Give a command and return the session's answer to it.

    Raises:
        UnreachableError: the session does not answer, or not to us.
    """
    where = f"session {endpoint.session_id} (pid {endpoint.pid})"
    try:
        with socket.create_connection((endpoint.host, endpoint.port), timeout_s) as connection:
            connection.settimeout(timeout_s)
            connection.sendall(encode(Hello(VERSION, endpoint.token, control)) + encode(command))
            frames = FrameReader()
            while data := connection.recv(1 << 18):
                for body in frames.feed(data):
                    message = decode(body)
                    if isinstance(message, Done):
                        return message
                    if isinstance(message, Refused):
                        raise UnreachableError(REFUSALS.get(message.why, message.why), where=where)
    except TimeoutError:
        raise UnreachableError(f"no answer within {timeout_s:g} s", where=where) from None
    except OSError as error:
        raise UnreachableError(f"it does not answer ({error.strerror or error})", where=where) from None
    except WireError as error:
        raise UnreachableError(f"its answer cannot be read ({error})", where=where) from None
    raise UnreachableError("it closed the connection without an answer", where=where)
