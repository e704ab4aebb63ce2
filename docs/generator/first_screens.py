"""Pictures of reports for the gallery: their first screens, taken as the site is made."""

from __future__ import annotations

import shutil
import subprocess
from html import escape
from pathlib import Path

SIZE = (1280, 800)
BROWSERS = ("chromium", "chromium-browser", "google-chrome")


def taken(report: Path, picture: Path, browser: str | None = None) -> bool:
    """Whether a Chromium of this machine has drawn the first screen of a report."""
    own = browser or next(filter(None, map(shutil.which, BROWSERS)), None)
    if own is None:
        return False
    words = [own, "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars",
             "--disable-background-networking", "--blink-settings=preferredColorScheme=1",
             f"--window-size={SIZE[0]},{SIZE[1]}", f"--screenshot={picture.resolve()}",
             report.resolve().as_uri()]  # fmt: skip
    try:
        subprocess.run(words, capture_output=True, timeout=120, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return picture.is_file() and picture.stat().st_size > 0


def card(link: str, picture: str, word: str, title: str) -> str:
    """The way to a report: its first screen, or its verdict in letters where none was taken."""
    shown = (
        f'<img src="{picture}" alt="First screen of the report: {escape(word)}" '
        f'width="{SIZE[0] // 2}" height="{SIZE[1] // 2}" loading="lazy">'
        if picture
        else f"<b>{escape(word)}</b><span>{escape(title)}</span>"
    )
    return f'<p><a class="first-screen" href="{link}">{shown}</a></p>'
