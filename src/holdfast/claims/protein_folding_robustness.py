"""Similar residues move a predicted structure far, and farther where the fold is rougher."""

from __future__ import annotations

import torch
from torch import Tensor

from holdfast.attacks.all_edits import AllEdits
from holdfast.attacks.goals import Moves
from holdfast.attacks.substitution import WordSubstitution
from holdfast.claims.harness import Claim, Trial
from holdfast.ops.superpose import rmsd
from holdfast.run.search import search
from holdfast.testing.worlds import draws
from holdfast.testing.worlds.folds import Fold
from holdfast.threats.residues import Residues, blosum62

ROWS, LENGTH, SITES, FAR = 4, 10, 3, 1e9


class _Symmetric(Residues):
    """Mutant: an edit costs minus its score, so that cheap is what is common, not similar."""

    def price(self, x: Tensor, change: Tensor) -> Tensor:
        cost = -blosum62()[x, change.clamp(0, 19)].double().clamp(max=0)
        return torch.where(change == x, 0.0, cost)


def _mirrored(p: Tensor, q: Tensor) -> Tensor:
    """Mutant: mirror images count as equal."""
    return torch.minimum(rmsd(p, q), rmsd(p * p.new_tensor([1, 1, -1]), q))


def trial(seed: int, mutant: str = "") -> Trial:
    """A toy fold: greedy search against all edits of one site, budgets, and two roughnesses."""
    x = torch.randint(20, (ROWS, LENGTH), generator=draws(seed))
    threat = (_Symmetric if mutant == "prices-by-score" else Residues)(budget=20.0, sites=SITES)
    distance = _mirrored if mutant == "allows-reflections" else rmsd
    greedily = WordSubstitution(order="every", together=20)
    moved: dict[float, Tensor] = {}
    honest = True
    for roughness in (0.1, 1.0):
        model = Fold(roughness, seed).requires_grad_(False)
        goal = Moves(model(x), FAR, distance)
        one = type(threat)(budget=20.0, sites=1)
        greedy = search(greedily, model, x, goal, one)
        every = search(AllEdits(sites=1, together=20), model, x, goal, one)
        honest &= bool((greedy.margin <= every.margin + 1e-9).all())
        found = search(greedily, model, x, goal, threat)
        # Judged by the definitions themselves: the cost in BLOSUM62, and proper rotations only.
        table = blosum62()
        cost = (table[x, x] - table[x, found.change]).sum(1)
        honest &= bool((cost <= 20).all()) and bool(((found.change != x).sum(1) <= SITES).all())
        true = rmsd(model(x), model(found.change))
        honest &= bool((found.margin + FAR - true).abs().max() < 1e-5)
        honest &= bool((found.margin >= greedy.margin - 1e-5).all())
        moved[roughness] = true
    left, right = float(moved[1.0].mean()), float(moved[0.1].mean())
    return Trial(left, right, honest and left > right)


CLAIM = Claim(
    paper="protein-folding-robustness",
    methods=("attack:residue-substitution", "attack:all-edits", "threat:residues"),
    says="within a BLOSUM distance of 20 and three sites a rough toy fold moves farther than a "
    "smooth one; greedy search never leaves the budget, reports proper distances, and with one "
    "site never beats enumeration",
    left="mean deviation in bond lengths, rough fold",
    right="mean deviation, smooth fold",
    trial=trial,
    mutants=("prices-by-score", "allows-reflections"),
    seconds=9,
    seeds=(301, 302, 303),
)
