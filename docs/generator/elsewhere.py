"""What the pages of a site would fetch from another host: there must be nothing."""

from __future__ import annotations

import re
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path

# Tags that fetch what they name as soon as a page is shown; a plain link fetches nothing.
_FETCH = {"script": "src", "img": "src", "iframe": "src", "source": "src", "video": "src",
          "audio": "src", "embed": "src", "object": "data", "use": "href"}  # fmt: skip
_RELATIONS = {"stylesheet", "icon", "preload", "prefetch", "preconnect", "dns-prefetch", "manifest"}
_AWAY = re.compile(r"^\s*(?:https?:)?//", re.I)
_STYLE = re.compile(r"(?:url\(\s*['\"]?|@import\s+['\"])((?:https?:)?//[^'\")\s]+)", re.I)


class _Fetched(HTMLParser):
    """Collects the addresses that a page fetches."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        known = dict(attrs)
        named = known.get(_FETCH.get(tag, ""))
        if tag == "link" and _RELATIONS & set((known.get("rel") or "").split()):
            named = known.get("href")
        self.found += [text for text in (named,) if text and _AWAY.match(text)]
        self.found += _STYLE.findall(known.get("style") or "")


def requests(folder: Path) -> list[str]:
    """Addresses on other hosts that the pages and style sheets of a folder fetch."""
    return sorted(set(_each(folder)))


def _each(folder: Path) -> Iterator[str]:
    for file in sorted(folder.rglob("*")):
        if file.suffix == ".html" and "reports" not in file.parts:  # these forbid it by policy
            page = _Fetched()
            page.feed(file.read_text("utf-8"))
            yield from page.found
        if file.suffix == ".css":
            yield from _STYLE.findall(file.read_text("utf-8"))
