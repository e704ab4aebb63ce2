"""Laws of shifts of texts: what they change, they say; what they cannot change, they refuse."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from holdfast.core.data import Batch
from holdfast.core.dice import Dice
from holdfast.core.errors import HoldfastError
from holdfast.core.kinds import Shift
from holdfast.testing.laws import LawBroken

TEXTS = (
    "The critic praised the quiet film.", "A dog saw the child, and nobody said anything.",
    "It was not a good story (though long).", "Their teacher wrote a letter to London!",
    "Why did the company sell its best house?", "Plain words without any sign at all",
)  # fmt: skip


def of_text(method: Shift) -> bool:
    """Whether it changes texts."""
    return getattr(method, "reads", "images") == "text"


def _batch() -> Batch:
    y = torch.arange(len(TEXTS)) % 2
    return Batch(list(TEXTS), y, 100 + torch.arange(len(TEXTS)), y)


def _changed(method: Shift, batch: Batch, severity: float) -> tuple[list[str], Tensor]:
    out = method(batch, severity, Dice(7, batch.index))
    if isinstance(out.x, Tensor) or not all(isinstance(t, str) for t in out.x):
        raise LawBroken("a shift of texts handed back something else")
    mask = out.more.get("edited", torch.zeros(len(batch.y), dtype=torch.bool))
    return list(out.x), mask


def law_text_edits_nest_in_severity(method: Shift) -> None:
    """At severity 0 nothing changes; a row that is edited stays so, and equally, above."""
    if not of_text(method):
        return
    batch, before = _batch(), list(TEXTS)
    for k in range(6):
        texts, _ = _changed(method, batch, k / 5)
        if k == 0 and texts != before:
            raise LawBroken("severity 0 changes texts")
        if any(a not in (b, c) for a, b, c in zip(before, TEXTS, texts, strict=True)):
            raise LawBroken(f"at severity {k / 5:g} an edited text is edited otherwise")
        before = texts
    if before == list(TEXTS):
        raise LawBroken("changes no text at severity 1")


def law_text_edits_say_where_they_apply(method: Shift) -> None:
    """`more["edited"]` is true exactly where the text has changed."""
    if not of_text(method):
        return
    for severity in (0.4, 1.0):
        texts, mask = _changed(method, _batch(), severity)
        if [a != b for a, b in zip(texts, TEXTS, strict=True)] != mask.tolist():
            raise LawBroken(f"at severity {severity} it does not say which texts have changed")


def law_text_only_the_texts_change(method: Shift) -> None:
    """Labels, positions and groups stay; no text that was given is lost."""
    if not of_text(method):
        return
    batch = _batch()
    out = method(batch, 1.0, Dice(7, batch.index))
    if list(batch.x) != list(TEXTS) or len(list(out.x)) != len(TEXTS):
        raise LawBroken("writes into the batch it was given, or loses rows")
    for a, b in ((out.y, batch.y), (out.index, batch.index), (out.group, batch.group)):
        if a is None or b is None or not torch.equal(a, b):
            raise LawBroken("changes labels, positions or groups")


def law_text_rows_do_not_depend_on_the_batch(method: Shift) -> None:
    """Any chunk and order of the rows, asked again, gives the same texts."""
    if not of_text(method):
        return
    batch, order = _batch(), torch.tensor([4, 1, 3])
    state = torch.random.get_rng_state()
    whole, part = (_changed(method, b, 1.0)[0] for b in (batch, batch.take(order)))
    if [whole[i] for i in order.tolist()] != part or _changed(method, batch, 1.0)[0] != whole:
        raise LawBroken("a text depends on which other texts are in the batch")
    if not torch.equal(state, torch.random.get_rng_state()):
        raise LawBroken("touches the global random state")
    if _changed(method, batch.take(slice(0, 0)), 0.5)[0]:
        raise LawBroken("an empty batch does not come back empty")


def law_text_refuses_images_and_severity_outside(method: Shift) -> None:
    """Images, and severities outside [0, 1], are refused."""
    if not of_text(method):
        return
    images = Batch(torch.rand(2, 1, 8, 8), torch.zeros(2).long(), torch.arange(2))
    calls: list[Callable[[], object]] = [lambda: method(images, 1.0, Dice(7, images.index))]
    batch = _batch()
    for severity in (-0.1, 1.1, float("nan")):
        calls.append(lambda s=severity: method(batch, s, Dice(7, batch.index)))  # type: ignore[misc]
    for number, call in enumerate(calls):
        try:
            call()
        except HoldfastError:
            continue
        raise LawBroken("accepts images" if number == 0 else "accepts a severity outside [0, 1]")
