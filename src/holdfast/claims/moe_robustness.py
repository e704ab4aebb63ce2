"""Experts that fit few points each are flatter than one net that fits them all."""

from __future__ import annotations

from functools import cache

import torch
from torch import Tensor, nn

from holdfast.attacks.pgd import PGD
from holdfast.checks.mixture import MixtureOfExperts
from holdfast.claims.harness import Claim, Trial
from holdfast.core.data import Batches
from holdfast.core.dice import Dice
from holdfast.core.goal import logits
from holdfast.core.records import Subject
from holdfast.layers.mixture import TopKMoE
from holdfast.measures.model.routing import routing_stability
from holdfast.ops.derivative import jacobian_norm
from holdfast.threats.norms import L2

CLUSTERS, EACH, SIZE, WIDTH, STEPS, NETS = 8, 16, 10, 32, 800, 5
STEEP = PGD(steps=10, start="none")  # without draws, so that check and measure must agree


def _points(seed: int) -> tuple[Tensor, Tensor, Tensor]:
    """Clusters of points with random labels, and the clusters' centres."""
    g = torch.Generator().manual_seed(seed)
    centres = 8 * nn.functional.normalize(torch.randn(CLUSTERS, SIZE, generator=g), dim=1)
    x = centres.repeat_interleave(EACH, 0) + torch.randn(CLUSTERS * EACH, SIZE, generator=g)
    return x, torch.randint(2, (len(x),), generator=g), centres


def _expert() -> nn.Sequential:
    return nn.Sequential(nn.Linear(SIZE, WIDTH), nn.ReLU(), nn.Linear(WIDTH, 2))


@cache
def nets(seed: int) -> tuple[TopKMoE, nn.Sequential]:
    """A mixture routed by cluster and a net of the same active width, both fitted to the points.

    Both interpolate labels of 1 and -1, as in the law that they are tried on: under a
    cross-entropy logits grow without end, and slopes tell how long each was trained.
    """
    x, y, centres = _points(seed)
    wanted = 2.0 * nn.functional.one_hot(y, 2) - 1
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        router = nn.Linear(SIZE, CLUSTERS)
        with torch.no_grad():
            router.weight.copy_(centres)
            router.bias.copy_(-centres.square().sum(1) / 2)
        mixture, dense = TopKMoE([_expert() for _ in centres], router, k=1), _expert()
    for model in (mixture, dense):
        trained = [p for n, p in model.named_parameters() if not n.startswith("router")]
        optimizer = torch.optim.Adam(trained, lr=0.01)
        for _ in range(STEPS):
            optimizer.zero_grad()
            nn.functional.mse_loss(logits(model(x)), wanted).backward()
            optimizer.step()
        model.zero_grad()
        model.eval()
    return mixture, dense


def _steepest(model: nn.Module, x: Tensor) -> float:
    """Largest slope at the points and at the middles between neighbours of a cluster."""
    middles = (x + x.reshape(CLUSTERS, EACH, SIZE).roll(1, 1).reshape(x.shape)) / 2
    points = torch.cat([x, middles])
    start = Dice.of(len(points)).normal((SIZE,))
    return float(jacobian_norm(lambda v: logits(model(v)), points, start).max())


def trial(seed: int, mutant: str = "") -> Trial:
    """Five pairs of nets: mean largest slopes, and in how many the mixture is the better one."""
    pairs = [_pair(NETS * seed + number, mutant) for number in range(NETS)]
    left, right = (sum(p[k] for p in pairs) / NETS for k in (0, 1))
    exact, better = all(p[2] for p in pairs), sum(p[3] for p in pairs)
    return Trial(left, right, exact and better >= NETS - 1)


def _pair(seed: int, mutant: str) -> tuple[float, float, bool, bool]:
    """Largest slopes of both nets, whether they were compared rightly, and the mixture is better.

    Better is flatter, and right on more rows under changes of a quarter of the spacing.
    """
    x, y, _ = _points(seed)
    mixture, dense = nets(seed)
    if mutant == "one-expert-for-all":
        mixture = TopKMoE([dense], nn.Linear(SIZE, 1), k=1).eval()
    spacing = torch.stack([torch.pdist(v).min() for v in x.reshape(CLUSTERS, EACH, SIZE)]).mean()
    threat = L2(radius=0.25 * float(spacing), low=-20.0, high=20.0)
    rows = Batches(x=x, y=y)
    found = routing_stability(mixture, rows, threat=threat, attack=STEEP)
    other = TopKMoE([dense], nn.Linear(SIZE, 1), k=1).eval()
    same = routing_stability(other, rows, threat=threat, attack=STEEP)
    fitted = bool(found.right["clean"].all()) and bool(same.right["clean"].all())
    stays = float(found.overlap.mean()) == 1.0  # no change of this size leaves its cluster
    left, right = _steepest(mixture, x), _steepest(dense, x)
    subject = Subject(model=mixture, batches=rows, threats=(threat,))
    (finding,) = MixtureOfExperts(attack=STEEP)(subject)
    agrees = finding.readings[-1].value == found.readings()[-1].value
    held = [float(f.right["attacked"].double().mean()) for f in (found, same)]
    return left, right, fitted and stays and agrees, left < right and held[0] > held[1]


CLAIM = Claim(
    paper="moe-robustness",
    methods=("measure:routing-stability", "check:mixture"),
    says="On points with random labels in eight clusters, a mixture routed by cluster is flatter "
    "than a net of the same active width, both without training error, and more rows withstand "
    "changes of a quarter of their spacing, in at least four of five pairs.",
    left="largest slope of the mixture, labels per unit of input, mean of five",
    right="of the dense net",
    trial=trial,
    seeds=(9, 10),
    mutants=("one-expert-for-all",),
    seconds=110,
    quick=False,
)
