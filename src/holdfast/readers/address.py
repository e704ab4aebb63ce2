"""Addresses of endpoints, and one request to them: no redirects, no proxies, no end of waiting."""

from __future__ import annotations

import http.client
import socket
import threading
import time
from dataclasses import dataclass
from urllib.parse import urlsplit

from holdfast.core.errors import ConfigError

MOST = 64 << 20  # bytes of an answer
SCHEMES = ("http://", "https://")


@dataclass(frozen=True)
class Address:
    """Where an endpoint is asked.

    Args:
        host: name or number.
        port: of the host.
        path: with its query.
        secure: whether the line is encrypted, and the host has to prove its name.
    """

    host: str
    port: int
    path: str
    secure: bool

    @property
    def name(self) -> str:
        """Short, without the query, which may hold a key."""
        return f"{self.host}:{self.port}{self.path.partition('?')[0]}"


class Failed(Exception):
    """A request without a usable answer.

    Args:
        says: what happened.
        lasting: whether asking again cannot help.
    """

    def __init__(self, says: str, lasting: bool = False) -> None:
        super().__init__(says)
        self.says, self.lasting = says, lasting


def is_address(spec: str) -> bool:
    """Whether a text is the address of an endpoint."""
    return spec.lower().startswith(SCHEMES)


def address_of(text: str) -> Address:
    """What an address names.

    Raises:
        ConfigError: if it names no host, or holds a password, which reports would show.
    """
    try:
        parts = urlsplit(text)
        host, port = parts.hostname, parts.port
    except ValueError:
        host, port = None, None
    plain = text.isascii() and text.isprintable() and " " not in text
    if not host or not plain or parts.username is not None or parts.fragment:
        held = plain and host and parts.username is not None
        raise ConfigError(
            "the address of the endpoint "
            + ("holds a name or a password" if held else f"cannot be read: {text[:80]!r}"),
            fix="Write http://127.0.0.1:8000/predict.",
            code="E0163",
        )
    secure = parts.scheme.lower() == "https"
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return Address(host, port or (443 if secure else 80), path, secure)


def posted(address: Address, body: bytes, timeout: float) -> bytes:
    """The answer to one request, which ends after `timeout` seconds whatever the host does.

    Raises:
        Failed: without an answer of status 200 and at most 64 MiB.
    """
    kind = http.client.HTTPSConnection if address.secure else http.client.HTTPConnection
    line = kind(address.host, address.port, timeout=timeout)
    try:
        line.connect()
    except OSError as error:
        line.close()
        raise Failed(f"cannot be reached: {error}") from None
    until = time.monotonic() + timeout
    end = threading.Timer(timeout, _cut, (line.sock,))  # a host may send a byte now and then
    end.daemon = True
    end.start()
    try:
        line.request("POST", address.path, body, _HEADERS)
        answer = line.getresponse()
        _refused(answer)
        raw = answer.read(MOST + 1)
    except (OSError, http.client.HTTPException) as error:
        late = time.monotonic() >= until or isinstance(error, TimeoutError)
        says = f"does not answer within {timeout:g} s" if late else f"breaks off: {error!r:.120}"
        raise Failed(says) from None
    finally:
        end.cancel()
        line.close()
    if time.monotonic() >= until:  # what came may have been cut off
        raise Failed(f"does not answer within {timeout:g} s")
    if len(raw) > MOST:
        raise Failed(f"answers with more than {MOST:,} bytes", lasting=True)
    return raw


_HEADERS = {
    "Content-Type": "application/json", "Accept": "application/json",
    "Accept-Encoding": "identity", "User-Agent": "holdfast", "Connection": "close",
}  # fmt: skip


def _cut(line: socket.socket) -> None:
    try:
        line.shutdown(socket.SHUT_RDWR)
    except OSError:
        return


def _refused(answer: http.client.HTTPResponse) -> None:
    """Raise for an answer that is no answer."""
    status = answer.status
    if 300 <= status < 400:
        raise Failed(f"sends on to another address (status {status})", lasting=True)
    if status != 200:
        says = answer.read(200).decode("utf-8", "replace").strip().replace("\n", " ")
        raise Failed(
            f"answers with status {status}" + (f": {says}" if says else ""),
            lasting=status < 500 and status != 429,
        )
    if answer.headers.get("Content-Encoding", "identity") != "identity":
        raise Failed("answers packed, though it was asked not to", lasting=True)
