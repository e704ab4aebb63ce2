"""The bracket: robust accuracy certified from below and attacked from above, on the same rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil

import torch
from torch import Tensor

from holdfast.core.catalog import resolve
from holdfast.core.certificate import Certificate
from holdfast.core.dice import Dice, dice_or
from holdfast.core.errors import Unsupported
from holdfast.core.goal import Goal
from holdfast.core.kinds import Attack, Certifier, Model, Threat
from holdfast.ops.statistics import clopper_pearson
from holdfast.run.agreement import agree, covers
from holdfast.run.passes import Passes
from holdfast.run.search import Found, clean, search
from holdfast.run.statements import CERTIFIED_AT_ONCE, Told, statements

WITNESSES, WITNESS_SHARE = 32, 0.1


@dataclass(frozen=True, eq=False)
class Bracket:
    """What certificates prove and what attacks break, row by row.

    Args:
        attacked: the portfolio's best change of every row, with clean margins and passes. Rows
            that were not attacked keep their clean margin.
        certified: `(B,)` bool: proved about this very function for the whole threat, and not
            overruled by an attack. Statements of confidence below 1 count; see `certificates`.
        looked: `(B,)` bool: rows handed to the attacks.
        witness: `(B,)` bool: certified rows that were attacked all the same.
        by: `(B,)` int64: position of the attack that broke the row, -1 for none.
        certificates: what each certifier that could answer said about all rows.
        answered: for each certificate, the position of its certifier.
        notes: what could not be done, and why.
    """

    attacked: Found
    certified: Tensor
    looked: Tensor
    witness: Tensor
    by: Tensor
    certificates: tuple[Certificate, ...] = ()
    answered: tuple[int, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def broken(self) -> Tensor:
        """`(B,)` bool: rows the adversary wins, with or without a change."""
        return self.attacked.broken

    @property
    def passes(self) -> Passes:
        """Rows sent forward and back by the attacks and their judge."""
        return self.attacked.passes

    def upper(self, alpha: float = 0.05) -> tuple[float, float, float]:
        """Share of rows no attack broke, an upper bound of robust accuracy, with its interval."""
        return _share(~self.broken, alpha)

    def lower(self, alpha: float = 0.05) -> tuple[float, float, float]:
        """Share of certified rows, a lower bound of robust accuracy, with its interval."""
        return _share(self.certified, alpha)


def _share(rows: Tensor, alpha: float) -> tuple[float, float, float]:
    count, n = int(rows.sum()), len(rows)
    low, high = clopper_pearson(count, n, alpha)
    return (count / n if n else float("nan")), low, high


def bracket(
    model: Model,
    x: Tensor,
    goal: Goal,
    threat: Threat,
    *,
    attacks: Sequence[Attack | str],
    certifiers: Sequence[Certifier | str] = (),
    dice: Dice | None = None,
    chunk: int | None = None,
    at_once: int = CERTIFIED_AT_ONCE,
    told: Told | None = None,
) -> Bracket:
    """Certify what can be certified, attack the rest, and let neither be believed alone.

    Certified rows are not attacked, except a seeded share of witnesses (10 %, at least 32). If
    an attack wins such a row although the certificate is about this function and this threat,
    covers all of it and is certain, one of the two is wrong and the bracket refuses to answer.

    Args:
        model: the function under test.
        x: `(B, ...)` inputs.
        goal: what the adversary wants, with B rows.
        threat: the admissible changes.
        attacks: tried one after the other, each on what is left.
        certifiers: each asked about the rows that are safe without a change.
        dice: keyed draws of the B rows.
        chunk: rows attacked at once.
        at_once: rows certified at once.
        told: hears how many rows a certifier was asked about, of how many, and how many it proved.

    Raises:
        Contradiction: with both witnesses.
        Unsupported: if attacks are given and none of them can do what is asked.
    """
    dice, x = dice_or(dice, len(x)), x.detach()
    found = clean(model, x, goal, threat, chunk=chunk)
    said, notes = statements(
        model, x, goal, threat, certifiers, dice=dice, safe=~found.broken, at_once=at_once,
        told=told,
    )  # fmt: skip
    certificates = tuple(said.values())
    certified = torch.zeros_like(found.finite)
    for certificate in certificates:
        certified |= covers(certificate, model, threat) & certificate.proved
    certified &= ~found.broken
    witness = _witnesses(certified, dice)
    looked = (~certified | witness) & ~found.broken
    index, by = looked.nonzero().flatten(), torch.full((len(x),), -1, device=x.device)
    part, ran = found.take(index), 0
    for number, one in enumerate(attacks):
        attack = resolve(one)
        own = dice.spawn(repr(attack)).part(index)
        before = part.broken
        try:
            part = search(
                attack, model, x[index], goal.take(index), threat.take(index),
                dice=own, chunk=chunk, since=part,
            )  # fmt: skip
        except Unsupported as refusal:
            notes.append(f"{type(attack).__name__}: {refusal.says}")
            continue
        ran += 1
        by[index[part.broken & ~before]] = number
    if attacks and not ran:
        raise Unsupported(
            f"no attack can search {threat.spec}: {notes[-1]}", fix="Add attack:square or another."
        )
    found = found.put(index, part)
    agree(model, x, goal, threat, found, certificates)
    sure = certified & ~found.broken
    notes += _overruled(certified & found.broken, found.finite)
    return Bracket(
        found, sure, looked, witness, by, certificates, tuple(said), tuple(notes)
    )  # fmt: skip


def _overruled(rows: Tensor, finite: Tensor) -> list[str]:
    """What became of rows that were both certified and lost."""
    failed, uncertain = int((rows & ~finite).sum()), int((rows & finite).sum())
    notes = [f"{uncertain} uncertain certificates overruled"] if uncertain else []
    return notes + ([f"{failed} certified rows gave non-finite outputs"] if failed else [])


def _witnesses(certified: Tensor, dice: Dice) -> Tensor:
    """A seeded choice of certified rows: 10 %, at least 32."""
    count = max(WITNESSES, ceil(WITNESS_SHARE * int(certified.sum())))
    draw = dice.spawn("witness").uniform(device=certified.device, dtype=torch.float64)
    order = draw.masked_fill(~certified, 2.0).argsort()[:count]
    return torch.zeros_like(certified).index_fill(0, order, True) & certified
