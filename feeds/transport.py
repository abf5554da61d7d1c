"""What carries the bytes, behind a port of three verbs, so that a feed can be tested without a network.

The one implementation is the ``websockets`` client, with every limit and time-out named. Compression is off: a small
frame cannot unfold into a large one. No proxy is looked for in the environment, and no
redirection is followed.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from ipaddress import ip_address
from typing import Protocol
from urllib.parse import parse_qsl, urlsplit

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidURI

from engine.errors import ConfigError
from engine.secret import PLACEHOLDER, Secret, filled, masked, redacted, sounds_secret
from feeds.guard import FeedLimits


class ConnectionLostError(Exception):
    """The connection could not be made, or is over; the text says why. Not a mistake of the user's: it is retried.

    The text may be the other side's, and is shown on terminals: what is no printable character is replaced.
    """

    def __init__(self, why: str, *, frame_too_large: bool = False) -> None:
        super().__init__("".join(character if character.isprintable() else "�" for character in why))
        self.frame_too_large = frame_too_large


class Transport(Protocol):
    """An open connection. ``receive`` and ``send`` raise ConnectionLostError when it is over."""

    async def receive(self) -> bytes: ...

    async def send(self, text: str) -> None: ...

    async def close(self) -> None: ...


Connect = Callable[[str, FeedLimits], Awaitable[Transport]]
"""Opens a connection within ``limits.handshake_s``; raises ConnectionLostError when it cannot."""


def check_address(address: str) -> str:
    """Return the address of a feed, if it is one we may use.

    Raises:
        ConfigError: it is no WebSocket address, is in the clear to another machine, or has a password in it.
    """
    try:
        url = urlsplit(address)
        host, _ = url.hostname, url.port  # a bad port raises here
    except ValueError as error:
        raise ConfigError(f"{redacted(address)!r} is not an address: {error}", where="feed address") from None
    if url.scheme not in ("ws", "wss") or not host:
        raise ConfigError(
            f"{redacted(address)!r} is not a WebSocket address",
            where="feed address",
            fix="write it like ws://127.0.0.1:8765",
        )
    if not _is_name(host):
        fix = "write it like ws://127.0.0.1:8765"
        raise ConfigError(f"{host!r} is not the name of a machine", where="feed address", fix=fix)
    if url.username is not None or url.password is not None:
        raise ConfigError("an address must not contain a user name or password", where="feed address")
    for name, value in parse_qsl(url.query, keep_blank_values=True):
        if (sounds_secret(name) or name.lower() in ("auth", "sig")) and not PLACEHOLDER.fullmatch(value):
            raise ConfigError(
                f"'{name}' of an address is a secret, and addresses are shown",
                where="feed address",
                fix=f"write {name}={{secret:NAME}}, and its value where microburst doctor says",
            )
    if url.scheme == "ws" and not _is_loopback(host):
        raise ConfigError(
            f"{host} is another machine, and ws:// is neither private nor proof against forgery",
            where="feed address",
            fix=f"use wss://{host}",
        )
    return address


def _is_name(host: str) -> bool:
    """Whether a host can be looked up at all: 1 to 63 bytes between its dots, and no spaces."""
    try:
        host.encode("idna")
    except UnicodeError:
        return False
    return host.isprintable() and " " not in host


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


class _Connect(connect):
    """A connection to the address that was checked, and to no other: redirections are not followed."""

    def process_redirect(self, exc: Exception) -> Exception | str:
        return exc


def opened_with(secrets: Mapping[str, Secret]) -> Connect:
    """Return what opens an address in which secrets are named, and says nothing of their values when it cannot."""

    async def connect_with(address: str, limits: FeedLimits) -> Transport:
        try:
            return await open_websocket(filled(address, secrets), limits)
        except ConnectionLostError as lost:  # the library's own words may quote the address
            raise ConnectionLostError(masked(str(lost)), frame_too_large=lost.frame_too_large) from None

    return connect_with


async def open_websocket(address: str, limits: FeedLimits) -> Transport:
    """Connect with ``websockets``; certificates of wss:// addresses are verified."""
    try:
        connection = await _Connect(
            address,
            compression=None,
            proxy=None,
            open_timeout=limits.handshake_s,
            ping_interval=limits.ping_interval_s,
            ping_timeout=limits.ping_timeout_s,
            close_timeout=limits.close_timeout_s,
            max_size=limits.max_frame_bytes,
        )
    except TimeoutError:
        raise ConnectionLostError(f"no handshake within {limits.handshake_s:g} s") from None
    except (OSError, InvalidHandshake, InvalidURI, EOFError) as error:
        raise ConnectionLostError(f"cannot connect: {str(error) or type(error).__name__}") from None
    return _WebSocket(connection)


class _WebSocket:
    def __init__(self, connection: ClientConnection) -> None:
        self._connection = connection

    async def receive(self) -> bytes:
        try:
            # Undecoded: the frame's UTF-8 is proven by the decoder.
            return await self._connection.recv(decode=False)
        except ConnectionClosed as closed:
            raise _lost(closed) from None

    async def send(self, text: str) -> None:
        try:
            await self._connection.send(text)
        except ConnectionClosed as closed:
            raise _lost(closed) from None

    async def close(self) -> None:
        await self._connection.close()


def _lost(closed: ConnectionClosed) -> ConnectionLostError:
    if closed.sent is not None and closed.sent.code == 1009 and not closed.rcvd_then_sent:
        return ConnectionLostError("a frame above the size limit", frame_too_large=True)
    if closed.rcvd is not None:
        return ConnectionLostError(f"closed by the venue: {closed.rcvd.code} {closed.rcvd.reason}".rstrip())
    if closed.sent is not None:
        return ConnectionLostError(f"closed by us: {closed.sent.code} {closed.sent.reason}".rstrip())
    return ConnectionLostError("the line was cut")
