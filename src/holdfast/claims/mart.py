"""MART against adversarial training under an attack on the margin."""

from __future__ import annotations

from functools import cache
from statistics import mean

from torch import Tensor

from holdfast.claims.harness import Claim, Trial
from holdfast.claims.robust_scene import INNER, JUDGE, THREAT, hardened, rows, small
from holdfast.core.data import Batch
from holdfast.core.fields import settings
from holdfast.core.goal import Untargeted
from holdfast.core.kinds import Run
from holdfast.objectives.adversarial import AdversarialTraining
from holdfast.objectives.mart import MART
from holdfast.run.search import search

EPOCHS, SEEDS = 30, (31, 32, 33)


@settings
class _Reversed(MART):
    """Bug: the departure is rewarded."""

    def __call__(self, run: Run, batch: Batch) -> Tensor:
        attacked = MART(attack=INNER, threat=THREAT, weight=0.0)(run, batch)
        return 2 * attacked - super().__call__(run, batch)


@settings
class _Clean(MART):
    """Bug: the attack is forgotten."""

    def __call__(self, run: Run, batch: Batch) -> Tensor:
        return MART(attack=INNER, threat=THREAT.scaled(0.0), weight=self.weight)(run, batch)


MUTANTS: dict[str, type[MART]] = {"": MART, "rewards-departure": _Reversed, "no-attack": _Clean}


@cache
def _seen(seed: int, name: str) -> tuple[float, float]:
    """Robust accuracy, and the mean margin under attack of held-out rows that are missed."""
    data, test = rows(seed)
    kind = MUTANTS.get(name)
    objective = AdversarialTraining if kind is None else kind
    model = small(seed, 32)
    hardened(model, data, objective(attack=INNER, threat=THREAT), EPOCHS, seed=seed)
    found = search(JUDGE, model, test.whole.x, Untargeted(test.y), THREAT)  # type: ignore[arg-type]
    wrong = found.clean >= 0
    return 1 - float(found.broken.double().mean()), float(found.margin[wrong].mean())


def trial(seed: int, mutant: str = "") -> Trial:
    """Robust accuracy of both, in the mean over the seeds, and by how much misses are missed."""
    ours, theirs = _seen(seed, mutant), _seen(seed, "pgd-at")
    seeds = (seed,) if mutant else SEEDS
    gain = mean(_seen(s, mutant)[0] - _seen(s, "pgd-at")[0] for s in seeds)
    return Trial(ours[0], theirs[0], gain >= -0.01 and ours[1] < theirs[1])


CLAIM = Claim(
    paper="mart",
    methods=("objective:mart", "loss:boosted-cross-entropy", "recipe:mart"),
    says="Against ascents of the margin MART loses less than a point of robust accuracy to "
    "adversarial training in the mean over the seeds, and rows that are missed without attack "
    "are missed by less under attack.",
    left="robust accuracy after MART (l-inf 0.1)",
    right="robust accuracy after adversarial training",
    trial=trial,
    seeds=SEEDS,
    mutants=("rewards-departure", "no-attack"),
    seconds=30,
    quick=False,
)
