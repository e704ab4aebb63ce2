"""Who may ask: the host that was named, whoever holds the key, and forms of our own pages."""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field

_LOOPBACK = ("127.0.0.1", "localhost", "[::1]")
_ANY = ("0.0.0.0", "::", "[::]")


def _equal(given: str, known: str) -> bool:
    """Whether two words are the same, in a time that tells nothing about where they differ."""
    return hmac.compare_digest(given.encode("utf-8", "replace"), known.encode())


@dataclass(frozen=True)
class Guardian:
    """The rules of one server.

    Args:
        host: it listens on.
        port: it listens on.
        key: that the printed address brings along; empty lets everybody in.
        secret: behind the cookie and the tokens of forms.
    """

    host: str
    port: int
    key: str = field(default_factory=lambda: secrets.token_urlsafe(32), repr=False)
    secret: str = field(default_factory=lambda: secrets.token_hex(32), repr=False)

    def _made(self, use: str) -> str:
        return hmac.new(self.secret.encode(), use.encode(), hashlib.sha256).hexdigest()

    @property
    def cookie(self) -> str:
        """The name of the cookie; browsers keep those of all ports of a machine together."""
        return f"holdfast-{self.port}"

    @property
    def ticket(self) -> str:
        """What the cookie holds: not the key, which therefore opens nothing as a cookie."""
        return self._made("ticket")

    @property
    def token(self) -> str:
        """What every form of our own pages holds."""
        return self._made("form")

    def address(self) -> str:
        """Where the dashboard is found, with the key."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        host = "127.0.0.1" if self.host in _ANY else host
        return f"http://{host}:{self.port}/" + (f"?key={self.key}" if self.key else "")

    def knows_host(self, host: str) -> bool:
        """Whether a Host header names this server.

        A page of a foreign site whose name was pointed at this machine sends that site's name, and
        is turned away. Where all addresses are listened on, any address is right and no name is.
        """
        name, colon, port = host.lower().rpartition(":")
        if not colon or port != str(self.port):
            return False
        own = f"[{self.host}]" if ":" in self.host and self.host[0] != "[" else self.host
        if name in _LOOPBACK or name == own.lower():
            return name not in _ANY
        return self.host in _ANY and _is_address(name)

    def holds_key(self, given: str) -> bool:
        """Whether the key of the printed address is right."""
        return bool(self.key) and _equal(given, self.key)

    def lets_in(self, cookies: Mapping[str, str]) -> bool:
        """Whether a visitor was let in before, or nobody needs a key."""
        return not self.key or _equal(cookies.get(self.cookie, ""), self.ticket)

    def trusts_form(self, origin: str | None, host: str, token: str) -> bool:
        """Whether a form was sent by a page of ours: its origin and its token say so."""
        return origin == f"http://{host}" and _equal(token, self.token)


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach a host."""
    return host in ("localhost", "127.0.0.1", "::1")


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name.strip("[]"))
    except ValueError:
        return False
    return True
