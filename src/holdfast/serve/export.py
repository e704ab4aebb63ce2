"""The dashboard as files: the same pages, with relative links, open without a server."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from itertools import combinations
from pathlib import Path

from holdfast.core.errors import ConfigError
from holdfast.run.writing import write
from holdfast.serve import pages
from holdfast.serve.cards import Card
from holdfast.serve.frame import Frame
from holdfast.serve.links import Links
from holdfast.serve.pairs import compare_page
from holdfast.serve.shelf import Shelf

MARK = ".holdfast-site"  # says that a folder was made by an export and may be replaced
_ALL = 8  # up to so many runs every pair has a page


def pairs(cards: Sequence[Card]) -> list[tuple[str, str]]:
    """Runs that are compared in an exported site, the earlier one first.

    All of them while there are few; then each run with the one before it of the same model.
    """
    old = [c for c in reversed(cards) if c.state != "running"]
    if len(old) <= _ALL:
        return [(a.id, b.id) for a, b in combinations(old, 2)]
    made, last = [], dict[str, Card]()
    for card in old:
        if card.model in last:
            made.append((last[card.model].id, card.id))
        last[card.model] = card
    return made


def export(shelf: Shelf, folder: Path, store: str = "") -> int:
    """Write the site.

    Args:
        shelf: the runs.
        folder: where to; new, empty, or the site of an earlier export, which is replaced.
        store: name of the store, shown on every page.

    Returns:
        The number of pages.

    Raises:
        ConfigError: if the folder holds anything else, or there are no runs.
    """
    cards = shelf.cards()
    if not cards:
        raise ConfigError(
            f"serve: there are no runs in {shelf.root.name}",
            fix="Make one: holdfast audit MODEL --data DATA", code="E0173",
        )  # fmt: skip
    if folder.exists() and not (folder / MARK).is_file():
        if not folder.is_dir() or any(folder.iterdir()):
            raise ConfigError(
                f"serve: {folder} holds something else than an exported site",
                fix="Name a new folder: holdfast serve --export site", code="E0172",
            )  # fmt: skip
    linked = pairs(cards)
    made = _runs(shelf, cards, store, set(linked))
    top = Frame(Links(True), store=store)
    made |= {
        "index.html": pages.runs_page(shelf, top, pages.Sought()),
        "compare.html": compare_page(shelf, top, "", "", linked=tuple(linked)),
    }
    below = Frame(Links(True, 1), store=store)
    for a, b in linked:
        made[f"compare/{a}--{b}.html"] = compare_page(shelf, below, a, b)
    for name in ("runs", "compare"):
        shutil.rmtree(folder / name, ignore_errors=True)
    write(folder / MARK, "made by holdfast serve --export\n")
    for name, page in made.items():
        write(folder / name, page)
    for card in cards:
        for file in shelf.files(card.id):
            shutil.copyfile(shelf.file(card.id, file.name), folder / "runs" / card.id / file.name)
    return len(made)


def _runs(
    shelf: Shelf, cards: Sequence[Card], store: str, linked: set[tuple[str, str]]
) -> dict[str, str]:
    """The pages of every run."""
    frame, made = Frame(Links(True, 2), store=store), dict[str, str]()
    for card in cards:
        place = f"runs/{card.id}"
        near = frozenset(a for a, b in linked if b == card.id)
        made[f"{place}/index.html"] = pages.run_page(shelf, frame, card.id, linked=near)
        made[f"{place}/failures.html"] = pages.failures_page(shelf, frame, card.id)
    return made
