"""A shift of texts: one linguistic phenomenon at a time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from torch import Tensor

from holdfast.core.catalog import register
from holdfast.core.data import Batch
from holdfast.core.dice import Dice
from holdfast.core.errors import ConfigError, ShapeError, Unsupported
from holdfast.core.fields import settings
from holdfast.core.nearest import nearest
from holdfast.core.ranges import inside
from holdfast.ops.batch import Inputs
from holdfast.shifts.text import characters, clauses, degraded, words
from holdfast.shifts.text.edit import Edit, Effect, edited

EDITS: dict[str, Edit] = {
    e.name: e for e in (*characters.EDITS, *degraded.EDITS, *words.EDITS, *clauses.EDITS)
}  # fmt: skip
FLUKE = (
    "spelling", "capitalisation", "punctuation", "derivation", "compound", "voice", "roles",
    "conjunction", "concept", "negation", "discourse", "appraisal", "style", "dialect",
    "temporal", "geographical", "longer",
)  # fmt: skip
REWORD = (
    "quoted", "spaced-punctuation", "handle", "link", "tautology", "ignore-above", "ignore-below",
    "rot-13", "rot-2", "homoglyphs", "neighbouring-key", "letters-swapped", "letter-added",
    "letter-omitted", "word-deleted", "synonym", "minified", "good-comment", "bad-comment",
    "other-language", "markdown-answer", "plain-answer", "jailbreak",
)  # fmt: skip
QUERIES = (
    "letter-added", "letter-omitted", "letter-replaced", "letters-swapped", "neighbouring-key",
    "word-deleted", "word-repeated", "words-shuffled", "synonym",
)  # fmt: skip


def edit_named(name: str) -> Edit:
    """The edit of that name.

    Raises:
        ConfigError: with the nearest names, if there is none.
    """
    if name not in EDITS:
        near = nearest(name, list(EDITS)) or list(EDITS)
        raise ConfigError(f"text: there is no edit {name!r}", fix=f"Edits: {', '.join(near)}.")
    return EDITS[name]


def texts_of(x: Inputs, who: str) -> list[str]:
    """The texts of a batch.

    Raises:
        Unsupported: if it holds anything else.
    """
    if isinstance(x, Sequence) and all(isinstance(t, str) for t in x):
        return list(x)
    form = f"{x.dtype} {tuple(x.shape)}" if isinstance(x, Tensor) else type(x).__name__
    raise Unsupported(
        f"{who} changes texts, got {form}", fix="Leave out edits of text for this kind of data."
    )


@register("shift", name="text", cites="fluke", says="Texts with one linguistic edit each.")
@settings
class Reword:
    """Changes texts by one rule-based edit of one linguistic phenomenon: see `EDITS`.

    The edits keep the answer of most tasks, except those whose effect is `flips`; labels are not
    touched here. Severity is the chance of a row to be edited, and a row that is edited at one
    severity is edited, and equally, at every higher one. Where an edit does not apply, the text
    stays and `more["edited"]` is False there. Rules and word lists are English and small.

    Args:
        edit: name of the edit.

    Raises:
        ConfigError: for an unknown edit, or a severity outside [0, 1].
        Unsupported: if the inputs are not texts, or the edit applies to none of them.

    Unlike the paper: rules instead of a language model and a person who validates; `derivation`
    and `appraisal`, for which rules are poor, are short lists.
    """

    reads: ClassVar[str] = "text"
    edit: str = "typo"

    def __post_init__(self) -> None:
        edit_named(self.edit)

    @property
    def effect(self) -> Effect:
        """Whether the right answer stays the same or flips."""
        return edit_named(self.edit).effect

    def __call__(self, batch: Batch, severity: float, dice: Dice | None = None) -> Batch:
        texts = texts_of(batch.x, f"text:{self.edit}")
        inside("[0, 1]", "text", severity=severity)
        keyed = Dice(0, batch.index) if dice is None else dice
        if len(keyed) != len(texts):
            raise ShapeError(
                f"text: {len(texts)} texts but dice for {len(keyed)} rows",
                fix="Give Dice(seed, batch.index) of the same batch, or none.",
            )
        if severity == 0 or not texts:
            return batch
        own = keyed.spawn(f"text:{self.edit}")
        hit = own.uniform() < severity
        found = edited(texts, edit_named(self.edit), own.spawn("edit"))
        if not bool(found.changed.any()):
            raise Unsupported(
                f"text: the edit {self.edit!r} applies to none of {len(texts)} texts",
                fix="Choose an edit that does; unchanged texts would count as robustness.",
            )
        changed = hit & found.changed
        new = [b if c else a for a, b, c in zip(texts, found.texts, changed.tolist(), strict=True)]
        return batch._replace(x=new, more={**batch.more, "edited": changed})
