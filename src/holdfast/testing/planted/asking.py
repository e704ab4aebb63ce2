"""Asks a certifier about nets with planted counterexamples: it must prove none of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product

import torch

from holdfast.core.dice import Dice
from holdfast.core.errors import Unsupported
from holdfast.core.kinds import Certifier
from holdfast.testing.planted.built import needle, on_the_edge
from holdfast.testing.planted.nets import ARCHITECTURES, Planted
from holdfast.threats.norms import LInf


@dataclass(frozen=True)
class Soundness:
    """What a certifier said of planted nets.

    Args:
        false: names of the nets it proved although a counterexample is known: must be empty.
        bounded: names of those whose bound lies below the margin of the counterexample; a bound
            can be wrong without proving anything.
        proved: nets proved at the small radius, where no counterexample is known.
        refused: nets that it cannot read.
        asked: nets in all.
    """

    false: tuple[str, ...]
    bounded: tuple[str, ...]
    proved: int
    refused: int
    asked: int

    @property
    def sound(self) -> bool:
        """Whether nothing was wrong and something was asked."""
        return not self.false and not self.bounded and self.asked > self.refused


def soundness(certifier: Certifier, planted: Sequence[Planted]) -> Soundness:
    """Asks about every net at the radius of its counterexample, and at a small one.

    The second question tells soundness from silence: a certifier that proves nothing is sound,
    and useless.

    Args:
        certifier: with any attack of its own switched off, or it finds what was planted.
        planted: nets with known counterexamples.
    """
    false, bounded, proved, refused = [], [], 0, 0
    for case in planted:
        dice = Dice.of(1, 0)
        try:
            found = certifier(case.model, case.x, case.goal, case.threat, dice=dice)
            easy = certifier(case.model, case.x, case.goal, LInf(radius=case.easy), dice=dice)
        except Unsupported:
            refused += 1
            continue
        with torch.no_grad():
            margin = case.goal(case.model(case.witness)).double()
        if bool(found.proved.any()):
            false.append(case.name)
        if bool((found.margin < margin).any()):  # false for NaN, which proves nothing
            bounded.append(case.name)
        proved += int(bool(easy.proved.all()))
    return Soundness(tuple(false), tuple(bounded), proved, refused, len(planted))


def gallery(
    seeds: Sequence[int] = (0, 1), architectures: Sequence[str] = tuple(ARCHITECTURES)
) -> Iterator[Planted]:
    """Nets on the edge and nets with needles, of every architecture, type and size of region.

    Args:
        seeds: one round of nets for each.
        architectures: names of forms of nets, of `ARCHITECTURES`.

    Returns:
        Three nets per seed and architecture, made one by one as they are asked for.
    """
    radii = {torch.float32: 0.05, torch.float64: 0.01}
    for seed, architecture in product(seeds, architectures):
        for dtype, radius in radii.items():
            yield on_the_edge(architecture, radius=radius, seed=seed, dtype=dtype)
        kind = tuple(radii)[seed % 2]
        yield needle(architecture, radius=radii[kind], seed=seed, dtype=kind)
