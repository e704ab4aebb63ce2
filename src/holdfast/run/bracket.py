"""The bracket: robust accuracy certified from below and attacked from above, on the same rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil

import torch
from torch import Tensor

from holdfast.core.catalog import resolve
from holdfast.core.dice import Dice, dice_or
from holdfast.core.errors import Contradiction, Unsupported
from holdfast.core.goal import Goal, logits
from holdfast.core.kinds import Attack, Certifier, Model, Threat
from holdfast.core.quiet import quiet
from holdfast.core.records import Certificate
from holdfast.ops.batch import chunks
from holdfast.ops.statistics import clopper_pearson
from holdfast.run.passes import Passes
from holdfast.run.search import Found, clean, search

WITNESSES, WITNESS_SHARE = 32, 0.1
CERTIFIED_AT_ONCE = 128


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
        notes: what could not be done, and why.
    """

    attacked: Found
    certified: Tensor
    looked: Tensor
    witness: Tensor
    by: Tensor
    certificates: tuple[Certificate, ...] = ()
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

    Raises:
        Contradiction: with both witnesses.
        Unsupported: if attacks are given and none of them can do what is asked.
    """
    dice, x = dice_or(dice, len(x)), x.detach()
    found = clean(model, x, goal, threat, chunk=chunk)
    certificates, notes = _certify(
        model, x, goal, threat, certifiers, dice=dice, safe=~found.broken
    )
    certified = torch.zeros_like(found.finite)
    for certificate in certificates:
        certified |= _covers(certificate, model, threat) & certificate.proved
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
    _agree(model, x, goal, threat, found, certificates)
    sure = certified & ~found.broken
    if bool((certified & found.broken).any()):
        notes.append(f"{int((certified & found.broken).sum())} uncertain certificates overruled")
    return Bracket(found, sure, looked, witness, by, tuple(certificates), tuple(notes))


def _certify(
    model: Model, x: Tensor, goal: Goal, threat: Threat, certifiers: Sequence[Certifier | str],
    *, dice: Dice, safe: Tensor,
) -> tuple[list[Certificate], list[str]]:  # fmt: skip
    """What each certifier says of the safe rows; those that cannot answer leave a note."""
    said: list[Certificate] = []
    notes: list[str] = []
    left = safe.nonzero().flatten()
    for one in certifiers:
        certifier = resolve(one)
        own, parts = dice.spawn(repr(certifier)), []
        try:
            with quiet(model):
                for p in chunks(len(left), CERTIFIED_AT_ONCE):
                    i = left[p]
                    parts.append(
                        certifier(model, x[i], goal.take(i), threat.take(i), dice=own.part(i))
                    )
        except Unsupported as refusal:
            notes.append(f"{type(certifier).__name__}: {refusal.says}")
            continue
        if parts:
            said.append(_joined(parts, threat, left, len(x)))
    return said, notes


def _joined(parts: Sequence[Certificate], threat: Threat, rows: Tensor, count: int) -> Certificate:
    """One certificate of all rows; nothing is claimed of those that were not asked about."""
    first = parts[0]
    margin = torch.cat([c.margin for c in parts])
    margin = margin.new_full((count,), torch.inf).index_copy(0, rows.to(margin.device), margin)
    radius = None
    if all(c.radius is not None for c in parts):
        known = torch.cat([c.radius for c in parts if c.radius is not None])
        radius = known.new_zeros(count).index_copy(0, rows.to(known.device), known)
    whole = threat if all(c.threat.spec == threat.spec for c in parts) else first.threat
    confidence = min(c.confidence for c in parts)
    return Certificate(first.about, whole, margin, radius, confidence, min(c.mass for c in parts))


def _covers(certificate: Certificate, model: Model, threat: Threat) -> bool:
    """Whether a certificate speaks of this function and of all of this threat."""
    same = certificate.threat is threat or certificate.threat.spec == threat.spec
    return certificate.about is model and same and certificate.mass >= 1


def _witnesses(certified: Tensor, dice: Dice) -> Tensor:
    """A seeded choice of certified rows: 10 %, at least 32."""
    count = max(WITNESSES, ceil(WITNESS_SHARE * int(certified.sum())))
    draw = dice.spawn("witness").uniform(device=certified.device, dtype=torch.float64)
    order = draw.masked_fill(~certified, 2.0).argsort()[:count]
    return torch.zeros_like(certified).index_fill(0, order, True) & certified


def _agree(
    model: Model, x: Tensor, goal: Goal, threat: Threat, found: Found, said: Sequence[Certificate]
) -> None:
    """Raise where an attack won what a certain certificate had excluded."""
    size = threat.size(x, found.change)
    for certificate in said:
        if not _covers(certificate, model, threat) or certificate.confidence < 1:
            continue
        claimed = certificate.proved & (size <= 1 + 1e-5)
        reach = getattr(threat, "radius", None)
        if certificate.radius is not None and isinstance(reach, float):
            claimed |= size * reach < certificate.radius.to(size) * (1 - 1e-6)
        rows = (claimed & found.broken & found.finite).nonzero().flatten()
        if not len(rows):
            continue
        with torch.no_grad(), quiet(model):
            part = threat.take(rows)
            outputs = part.through(model, x[rows], found.change[rows])
            z = logits(outputs).flatten(1)
            slack = (1e-5 if z.dtype != torch.float64 else 1e-9) * z.abs().amax(1)
            certain = goal.take(rows)(outputs) > slack
        if bool(certain.any()):
            _refuse(certificate, found, x, rows[certain], threat)


def _refuse(
    certificate: Certificate, found: Found, x: Tensor, rows: Tensor, threat: Threat
) -> None:
    row = int(rows[0])
    radius = None if certificate.radius is None else float(certificate.radius[row])
    raise Contradiction(
        f"row {row}: an attack reached margin {float(found.margin[row]):.4g} under {threat.spec},"
        f" where a certificate had proved at most {float(certificate.margin[row]):.4g}"
        f" ({len(rows)} such rows)",
        witnesses={
            "attack": {
                "rows": rows,
                "x": x[rows],
                "change": found.change[rows],
                "margin": found.margin[rows],
            },
            "certificate": {"margin": certificate.margin[rows], "radius": radius},
        },
        fix="One of the two is wrong: report it with both witnesses; trust neither number.",
    )
