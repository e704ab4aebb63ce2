"""Sentences with entities, and label noise of several kinds on their tags."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import torch
from torch import Tensor

from holdfast.core.data import Batches
from holdfast.core.dice import Dice
from holdfast.core.errors import ConfigError, ShapeError
from holdfast.ops.entities import Span, spans, tagged

NoiseKind = Literal["missing", "wrong type", "boundary", "non-entity", "mixture"]
KINDS: tuple[NoiseKind, ...] = ("missing", "wrong type", "boundary", "non-entity")
TYPES, CUES, NAMES, FILLERS = 3, 4, 24, 40
PARTS = TYPES * CUES


@dataclass(frozen=True, eq=False)
class Sentences:
    """The truth about sentences with entities.

    Args:
        tags: `(B, T)` clean.
        names: `(B, T)` number of the name that each token belongs to; -1 outside.
    """

    tags: Tensor
    names: Tensor


def sentences(n: int, dice: Dice, *, length: int = 12, informative: float = 0.8) -> Batches:
    """Sentences of token numbers with two entities of one or two tokens each.

    In front of an entity stands a cue, which tells its type with the stated chance and else is
    that of any type; each name belongs to one type. Tokens: fillers, cues, first and second
    tokens of names.

    Args:
        n: rows.
        dice: `n` of them.
        length: tokens of a sentence, 10 or more.
        informative: chance that a cue tells the type.
    """
    if length < 10:
        raise ConfigError(
            f"sentences: length must be at least 10, got {length}", fix="Use length=20."
        )
    x = dice.integers(FILLERS, (length,))
    y, names = torch.zeros_like(x), torch.full_like(x, -1)
    for k, first in enumerate((0, length // 2)):
        sizes = {"name": NAMES, "cue": CUES, "long": 2, "at": 3}
        drawn = {w: dice.spawn(f"{k}{w}").integers(c) for w, c in sizes.items()}
        name, cue, long, at = (drawn[w] for w in sizes)
        kind = name % TYPES
        other = dice.spawn(f"{k}o").integers(TYPES)
        told = torch.where(dice.spawn(f"{k}i").uniform() < informative, kind, other)
        place = first + at
        row = torch.arange(n)
        x[row, place] = FILLERS + told * CUES + cue
        start = FILLERS + PARTS
        x[row, place + 1] = start + name
        y[row, place + 1], names[row, place + 1] = 2 * kind + 1, name
        two = long.bool()
        x[row[two], place[two] + 2] = start + NAMES + name[two]
        y[row[two], place[two] + 2], names[row[two], place[two] + 2] = 2 * kind[two] + 2, name[two]
    return Batches(x=x, y=y, size=64, truth=Sentences(y, names))


def _entity(own: Span, length: int, kind: str, types: int, draw: list[float]) -> list[Span]:
    """One entity after an error; the draws are uniform numbers."""
    if kind == "missing":
        return []
    if kind == "wrong type":
        return [own._replace(kind=(own.kind + 1 + int(draw[1] * (types - 1))) % types)]
    moves = [Span(own.start + a, own.stop + b, own.kind)
             for a, b in ((-1, 0), (1, 0), (0, -1), (0, 1))
             if 0 <= own.start + a < own.stop + b <= length]  # fmt: skip
    return [moves[int(draw[1] * len(moves))]]


def noisy(tags: Tensor, kind: NoiseKind, rate: float, dice: Dice, *, types: int = 0) -> Tensor:
    """Clean tags with errors of one kind, or of all in equal parts.

    An entity is hit with chance `rate`; boundaries move by a token; non-entities are single
    tokens outside, as many as the rate times the entities on average. An error that would run
    into another entity is left out. The result is always a valid sequence of tags.

    Args:
        tags: `(B, T)`: 0 outside, 2 t + 1 begins an entity of type t, 2 t + 2 goes on.
        kind: of the errors.
        rate: chance per entity, in [0, 1].
        dice: one row per sentence.
        types: of entities; the largest that occurs unless given.

    Raises:
        ConfigError: for a rate outside [0, 1], or wrong types where there is only one.
    """
    count = types or int((tags.clamp(min=0).max() + 1) // 2 if tags.numel() else 0)
    if not 0 <= rate <= 1 or (kind == "wrong type" and count < 2 and rate > 0):
        raise ConfigError(
            f"noisy: rate {rate} of {kind!r} errors of {count} types",
            fix="A rate lies in [0, 1], and there are two types at least.",
        )
    length = tags.shape[1]
    draws = dice.uniform((length, 4), dtype=torch.float64).tolist()
    out = []
    for row, own in zip(tags.tolist(), draws, strict=True):
        clean = spans(row)
        made = list(clean)
        for entity in clean:
            draw = own[entity.start]
            which = KINDS[int(draw[2] * 4)] if kind == "mixture" else kind
            if draw[0] >= rate:
                continue
            if which == "non-entity":
                free = [i for i in range(length) if not any(s.start <= i < s.stop for s in made)]
                at = free[int(draw[1] * len(free))] if free else -1
                made += [Span(at, at + 1, int(draw[3] * max(count, 1)))] if free else []
                continue
            new = _entity(entity, length, which, max(count, 2), draw)
            rest = [s for s in made if s != entity]
            if all(s.stop <= n.start or n.stop <= s.start for s in rest for n in new):
                made = rest + new
        out.append(tagged(sorted(made), length))
    return torch.tensor(out, dtype=torch.int64).reshape(tags.shape)


def transition(clean: Tensor, noisy_tags: Tensor, classes: int) -> Tensor:
    """`(C, C)`: how often each clean tag became each noisy one; rows sum to 1."""
    table = torch.zeros(classes, classes, dtype=torch.float64)
    known = (clean >= 0) & (noisy_tags >= 0)
    pairs = clean[known] * classes + noisy_tags[known]
    table += torch.bincount(pairs, minlength=classes**2).reshape(classes, classes)
    eye = torch.eye(classes, dtype=torch.float64)
    total = table.sum(1, keepdim=True)
    return torch.where(total > 0, table / total.clamp(min=1), eye)


def from_matrix(tags: Tensor, table: Tensor, dice: Dice) -> Tensor:
    """Noisy tags drawn token by token from a table, among those valid behind the one before.

    Behind a tag outside no inner one may come, and behind an entity only an inner one of its own
    type; the row of the table is renormalised, and where nothing is left of it the tag is outside.

    Args:
        tags: `(B, T)` clean.
        table: `(C, C)` chances of each noisy tag given the clean one.
        dice: one row per sentence.

    Raises:
        ShapeError: if a tag has no row in the table.
    """
    classes = len(table)
    if tags.numel() and int(tags.max()) >= classes:
        raise ShapeError(
            f"from_matrix: tag {int(tags.max())} but a table of {classes} tags",
            fix="Give a table with one row and one column per tag.",
        )
    kind = torch.arange(classes)
    inner = (kind > 0) & (kind % 2 == 0)
    may = ~inner[None] | (kind[:, None] == kind) | (kind[:, None] == kind - 1)
    u = dice.uniform((tags.shape[1],), dtype=torch.float64)
    before, out = torch.zeros(len(tags), dtype=torch.int64), []
    for t in range(tags.shape[1]):
        chance = table[tags[:, t].clamp(min=0)] * may[before]
        empty = chance.sum(1) <= 0
        chance[empty, 0] = 1.0
        edge = (chance / chance.sum(1, keepdim=True)).cumsum(1)
        before = (u[:, t : t + 1] >= edge).sum(1).clamp(max=classes - 1)
        out.append(before)
    return torch.stack(out, 1) if out else tags.clone()


def systematic(data: Batches, share: float, *, types: int = TYPES) -> Batches:
    """Real-like noise: all entities of some names have the wrong type, always the same.

    Args:
        data: of `sentences`.
        share: of the names, the first ones.
        types: of entities.
    """
    names = data.truth.names
    wrong = (names >= 0) & (names < round(share * NAMES))
    kind = (data.y - 1) // 2
    other = 2 * ((kind + 1) % types) + 2 - data.y % 2
    return replace(data, y=torch.where(wrong, other, data.y))
