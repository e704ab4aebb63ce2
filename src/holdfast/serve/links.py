"""Where each page lies: addresses of the server, or relative files of an exported site."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import urlencode


@dataclass(frozen=True)
class Links:
    """Addresses of all pages as they are seen from one page.

    Names of runs hold letters that need no quoting (`shelf.NAME`).

    Args:
        static: whether the pages are files that open without a server.
        depth: of folders that the page itself lies below the root; only counts for files.
    """

    static: bool = False
    depth: int = 0

    def _to(self, served: str, file: str) -> str:
        return "../" * self.depth + file if self.static else served

    def home(self) -> str:
        """The list of runs."""
        return self._to("/", "index.html")

    def compare(self, first: str = "", second: str = "") -> str:
        """Two runs side by side, or the page where they are chosen."""
        if not first or not second:
            return self._to("/compare", "compare.html")
        asked = urlencode({"a": first, "b": second})
        return self._to(f"/compare?{asked}", f"compare/{first}--{second}.html")

    def run(self, run: str) -> str:
        """One run."""
        return self._to(f"/runs/{run}", f"runs/{run}/index.html")

    def failures(self, run: str) -> str:
        """Its worst failures."""
        return self._to(f"/runs/{run}/failures", f"runs/{run}/failures.html")

    def file(self, run: str, name: str) -> str:
        """A file of its folder."""
        return self._to(f"/runs/{run}/files/{name}", f"runs/{run}/{name}")

    def ask(self, run: str) -> str:
        """Its SQL box; only a server can answer."""
        return f"/runs/{run}/ask"

    def notes(self, run: str) -> str:
        """Where notes are sent to; only a server can keep them."""
        return f"/runs/{run}/notes"

    def events(self, run: str) -> str:
        """How a running audit goes, as server-sent events."""
        return f"/runs/{run}/events"
