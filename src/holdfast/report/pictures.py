"""Failures to look at: pictures with both answers, or texts with the changed words marked."""

from __future__ import annotations

import re
from dataclasses import dataclass
from difflib import SequenceMatcher

from markupsafe import Markup

from holdfast.report.document import Document, number, text

_PICTURE = re.compile(r"data:image/png;base64,[A-Za-z0-9+/]+={0,2}")
_IMAGES = (
    ("image", "original"), ("changed", "changed"), ("difference", "change"),
    ("reasons", "attribution"), ("control", "untrained"),
)  # fmt: skip
_ANSWERS = {"image": "before", "changed": "after"}
_LETTERS, _NEAR = 1200, 4  # of a text; words kept around a change where a text is long
_LONG = 60


@dataclass(frozen=True)
class Image:
    """One image (already checked to be PNG data), what it is, and the answer to it."""

    word: str
    source: str
    answer: str = ""


@dataclass(frozen=True)
class Picture:
    """One failure.

    Args:
        title: what it is, empty where the answers stand beside the images.
        caption: where it was found.
        images: of the row.
        before: the answer to the row as it was.
        after: the answer to the changed row.
        tokens: words of a text, each with `same`, `gone`, `new` or `cut`.
        at: the radius at which the row breaks.
        bar: drawing of the share of the allowed radius that this is.
        share: the same in words.
    """

    title: str
    caption: str
    images: tuple[Image, ...] = ()
    before: str = ""
    after: str = ""
    tokens: tuple[tuple[str, str], ...] = ()
    at: str = ""
    bar: Markup = Markup("")
    share: str = ""

    @property
    def name(self) -> str:
        """What a reader of the screen hears of each image."""
        return self.title or f"{self.before} → {self.after}"


def pictured(row: Document) -> bool:
    """Whether a row brings anything to look at."""
    return any(k in row for k, _ in _IMAGES) or "changed text" in row


def picture(row: Document) -> Picture:
    """A row of a gallery made ready."""
    images = tuple(
        Image(_word(word, row), source, text(row.get(_ANSWERS.get(key, "")), 60))
        for key, word in _IMAGES
        if isinstance(source := row.get(key), str) and _PICTURE.fullmatch(source)
    )
    tokens = difference(text(row.get("text"), _LETTERS), text(row.get("changed text"), _LETTERS))
    part = number(row.get("of the radius (share)"))
    at = text(row.get("breaks at"), 60)
    if tokens and not at:
        at = _words(tokens)
    title, after = text(row.get("title"), 120), text(row.get("after"), 60)
    if images and after and "changed" not in row:  # what changed is in the model
        title = title or f"turns into {after}"
    return Picture(
        title=title,
        caption=text(row.get("caption"), 200) or _found(row),
        images=images,
        before=text(row.get("before"), 60),
        after=after,
        tokens=_short(tokens) if "changed text" in row else (),
        at=at,
        bar=_bar(part) if part is not None else Markup(""),
        share=_share(part, bool(tokens) or at.endswith("degrees")),
    )


def _word(word: str, row: Document) -> str:
    """What an image shows; a change with the number of times it is magnified."""
    gain = number(row.get("gain"))
    return f"{word} ×{gain:.0f}" if word == "change" and gain is not None else word


def _found(row: Document) -> str:
    """Which row it is and who found it."""
    place = number(row.get("row"))
    words = [] if place is None else [f"row {place:.0f}"]
    who = text(row.get("found by"), 80)
    return ", ".join([*words, *([f"found by {who}"] if who else [])])


def _share(part: float | None, worded: bool) -> str:
    """The share of what the threat allows, in words."""
    if part is None:
        return ""
    return f"{100 * part:.0f}% of {'what is allowed' if worded else 'radius'}"


def _bar(share: float) -> Markup:
    part = 100 * min(max(share, 0.0), 1.0)
    return Markup(
        '<svg class="need" width="100%" height="4" aria-hidden="true"><rect class="track" '
        'width="100%" height="4" rx="2"/><rect width="{:.1f}%" height="4" rx="2"/></svg>'
    ).format(part)


def difference(before: str, after: str) -> tuple[tuple[str, str], ...]:
    """The words of both texts in one line: same, gone or new; neighbours of a kind are joined."""
    old, new = before.split(), after.split()
    made: list[tuple[str, str]] = []
    for kind, a, b, c, d in SequenceMatcher(None, old, new, autojunk=False).get_opcodes():
        if kind == "equal":
            made.append(("same", " ".join(old[a:b])))
            continue
        if a < b:
            made.append(("gone", " ".join(old[a:b])))
        if c < d:
            made.append(("new", " ".join(new[c:d])))
    return tuple(made)


def _words(tokens: tuple[tuple[str, str], ...]) -> str:
    """How many words were changed, out of how many."""
    count = {
        state: sum(len(words.split()) for kind, words in tokens if kind == state)
        for state in ("same", "gone", "new")
    }
    changed, whole = max(count["gone"], count["new"]), count["same"] + count["gone"]
    return f"{changed} of {whole} words"


def _short(tokens: tuple[tuple[str, str], ...]) -> tuple[tuple[str, str], ...]:
    """A long text with the words far from any change left out."""
    if sum(len(words.split()) for _, words in tokens) <= _LONG:
        return tokens
    made: list[tuple[str, str]] = []
    for place, (state, words) in enumerate(tokens):
        each = words.split()
        head = _NEAR if place else 0
        tail = _NEAR if place < len(tokens) - 1 else 0
        if state != "same" or len(each) <= head + tail + 1:
            made.append((state, words))
            continue
        parts = (("same", " ".join(each[:head])), ("cut", "…"),
                 ("same", " ".join(each[len(each) - tail :])))  # fmt: skip
        made += [p for p in parts if p[1]]
    return tuple(made)
