"""Few neurons carry a proof, fewer if they are taken by their priority."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor, nn

from holdfast.certify.linear.ibp import IBP
from holdfast.claims.harness import Claim, Trial
from holdfast.core.goal import Untargeted
from holdfast.explain.proof_features import ProofFeatures
from holdfast.explain.proof_sets import ProofSet, proof_features, sufficient
from holdfast.testing.worlds import draws
from holdfast.threats.norms import LInf

ROWS, HIDDEN, RADIUS = 60, 60, 0.003


class _Swapped(ProofSet):
    """Bug: the lower end is taken where the weight is negative, too."""

    @property
    def worst(self) -> Tensor:
        w = self.weights
        return w.clamp(min=0) * self.high[:, None] + w.clamp(max=0) * self.low[:, None]


def _net(seed: int) -> nn.Sequential:
    g = draws(seed)
    first, last = nn.Linear(16, HIDDEN).double(), nn.Linear(HIDDEN, 10).double()
    with torch.no_grad():
        for p, scale in ((first.weight, 0.35), (first.bias, 0.3), (last.weight, 0.2)):
            p.copy_(scale * torch.randn(p.shape, generator=g, dtype=torch.float64))
        first.bias.sub_(first.weight @ torch.full((16,), 0.5, dtype=torch.float64))
        last.bias.zero_()
    return nn.Sequential(first, nn.ReLU(), last)


def _found(proof: ProofSet, mutant: str, seed: int) -> ProofSet:
    """What suffices, and what the bugs make of it."""
    if mutant == "swapped-ends":
        found = sufficient(_Swapped(*vars(proof).values()), thorough=False)
        return replace(proof, kept=found.kept)
    if mutant == "least-important-first":
        return sufficient(proof, proof.priority.argsort(1), thorough=False)
    if mutant == "drops-one-too-many":
        kept = sufficient(proof).kept
        first = kept.int().argmax(1, keepdim=True)
        return replace(proof, kept=kept.scatter(1, first, False))
    return sufficient(proof, thorough=False)


def trial(seed: int, mutant: str = "") -> Trial:
    """Mean number of neurons kept, by priority and in random order, over the proved rows."""
    g, model = draws(seed + 1), _net(seed)
    x = 0.2 + 0.6 * torch.rand(ROWS, 16, generator=g, dtype=torch.float64)
    with torch.no_grad():
        goal = Untargeted(model(x).argmax(1))
    threat = LInf(radius=RADIUS)
    proof = proof_features(model, x, goal, threat, intermediate="ibp")
    proved = proof.full > 0
    same = torch.allclose(proof.full, -IBP()(model, x, goal, threat).margin, atol=1e-9)
    ours = _found(proof, mutant, seed)
    weights, kept = proof.weights, ours.kept.double()[:, None]
    ends = torch.where(weights >= 0, proof.low[:, None], proof.high[:, None])
    margin = ((weights * ends * kept).sum(2) + proof.constant).amin(1)
    holds = bool((margin[proved] > 0).all()) and bool(proved.sum() >= ROWS // 4)
    order = torch.rand(proof.low.shape, generator=g).argsort(1)
    other = sufficient(proof, order, thorough=False).size[proved].double().mean()
    mean = ours.size[proved].double().mean()
    shown = ProofFeatures(threat=threat)(model, x[:2], goal.take(slice(0, 2)))
    small = sufficient(proof).size[proved].double().mean()
    fewer = bool(small <= mean) and bool(mean <= 0.8 * other) and bool(shown.abs().sum() > 0)
    return Trial(float(mean), 0.8 * float(other), same and holds and fewer)


CLAIM = Claim(
    paper="proof-features",
    methods=("explainer:proof-features",),
    says="Neurons taken by priority suffice for every proof, and at most 0.8 times as many are "
    "needed as in random order; all of them together give the certificate by intervals.",
    left="mean number of neurons kept of 60, by priority",
    right="0.8 times the mean number in random order",
    trial=trial,
    mutants=("swapped-ends", "least-important-first", "drops-one-too-many"),
    seconds=3,
)
