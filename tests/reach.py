"""Hears every attempt of this process to reach another machine, or to be reached by one."""

from __future__ import annotations

import contextlib
import socket
import sys

import pytest

KEY = "reach"
SEEN: list[str] = []
_ADDRESSED = ("socket.connect", "socket.bind", "socket.sendto", "socket.sendmsg")
_NAMED = ("socket.getaddrinfo", "socket.gethostbyname")
_INTERNET = {int(socket.AF_INET), int(socket.AF_INET6)}
_watching: list[bool] = []


def own(host: object) -> bool:
    """Whether a host is this machine, reached without a network."""
    name = host.decode("ascii", "replace") if isinstance(host, bytes) else host
    return name is None or str(name) in ("", "localhost", "::1") or str(name).startswith("127.")


def heard(event: str, given: tuple[object, ...]) -> str | None:
    """What an event says of a network; None if it is of no concern."""
    if event in _NAMED:
        return None if own(given[0]) else f"{event} {given[0]!r}"
    if event not in _ADDRESSED:
        return None
    link, address = given[0], given[1]
    if int(getattr(link, "family", 0)) not in _INTERNET or not isinstance(address, tuple):
        return None
    everywhere = event == "socket.bind" and address[0] in ("", "0.0.0.0", "::")
    return f"{event} {address!r}" if everywhere or not own(address[0]) else None


def watch() -> None:
    """Begin to listen; a hook cannot be taken away, so there is one."""
    if _watching:
        return
    _watching.append(True)

    def hook(event: str, given: tuple[object, ...]) -> None:
        if event.startswith("socket."):
            with contextlib.suppress(Exception):
                if says := heard(event, given):
                    SEEN.append(says)

    sys.addaudithook(hook)


def count(reporter: pytest.TerminalReporter) -> int:
    """Attempts in all tests of a run."""
    reports = [r for kind in reporter.stats.values() for r in kind if hasattr(r, "user_properties")]
    found = {(r.nodeid, value) for r in reports for key, value in r.user_properties if key == KEY}
    return sum(int(value) for _, value in found)
