"""A few epochs for a trained net against as many from scratch."""

from __future__ import annotations

from functools import cache
from statistics import mean

from holdfast.claims.digits import accuracy, split
from holdfast.claims.harness import Claim, Trial
from holdfast.claims.robust_scene import INNER, THREAT, hardened, robust, small
from holdfast.core.dice import Dice
from holdfast.core.fields import Later
from holdfast.objectives.adversarial import AdversarialTraining
from holdfast.objectives.supervised import Supervised
from holdfast.run.loop import Training
from holdfast.run.schedule import Schedule

SEEDS, EPOCHS, PEAK = (31, 32, 33), 6, 0.1


@cache
def _seen(seed: int, trained: bool, schedule: Schedule, rate: float) -> tuple[float, float]:
    """Clean and robust accuracy after a few adversarial epochs."""
    data, test = split(seed, 640)
    model = small(seed, 64)
    if trained:
        hardened(model, data, Supervised(), 30)
    plan = Training(
        objective=AdversarialTraining(threat=THREAT, attack=INNER), epochs=EPOCHS,
        schedule=schedule, optimizer=Later("torch:SGD", lr=rate, momentum=0.9, weight_decay=5e-4),
    )  # fmt: skip
    plan(model, data, dice=Dice.of(len(data), seed))
    return accuracy(model, test), robust(model, test)


def trial(seed: int, mutant: str = "") -> Trial:
    """Fine-tuned, from scratch, and fine-tuned at a large constant rate, over the seeds."""
    seeds = (seed,) if mutant else SEEDS
    trained = mutant != "forgets-the-weights"
    peak = 10 * PEAK if mutant == "never-slow" else PEAK
    kind: Schedule = "constant" if mutant == "never-slow" else "slowfast"
    tuned = [_seen(s, trained, kind, peak) for s in seeds]
    scratch = [_seen(s, False, "constant", PEAK) for s in seeds]
    large = [_seen(s, True, "constant", 10 * PEAK) for s in seeds]
    robustness = mean(a[1] - b[1] for a, b in zip(tuned, scratch, strict=True)) >= -0.01
    clean = mean(a[0] - b[0] for a, b in zip(tuned, scratch, strict=True)) > 0
    both = mean(sum(a) - sum(c) for a, c in zip(tuned, large, strict=True)) >= 0
    here = seeds.index(seed)
    return Trial(tuned[here][1], scratch[here][1], robustness and clean and both)


CLAIM = Claim(
    paper="adversarial-fine-tuning",
    methods=("recipe:adversarial-fine-tuning",),
    says="Six adversarial epochs of a trained net at a rate that starts slowly and falls fast are "
    "at most a point less robust than six from scratch, more accurate, and not behind a constant "
    "rate ten times as large in the sum of both, in the mean over the seeds.",
    left="robust accuracy after fine-tuning (l-inf 0.1)",
    right="robust accuracy after as many epochs from scratch",
    trial=trial,
    seeds=SEEDS,
    mutants=("forgets-the-weights", "never-slow"),
    seconds=30,
    quick=False,
)
