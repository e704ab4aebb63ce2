"""Active and passive losses under label noise."""

from __future__ import annotations

from functools import cache, partial

from torch import Tensor

from holdfast.claims.harness import Claim, Trial
from holdfast.claims.noisy_labels import learned, plain
from holdfast.core.kinds import Loss
from holdfast.losses.cross_entropy import cross_entropy
from holdfast.losses.normalized import active_passive, normalized_cross_entropy

# The paper's passive loss is reverse cross-entropy, A (1 - p) with A = -log 1e-4: that is A / 2
# times the absolute error 2 (1 - p). Both weights are 1.
PASSIVE = 9.2103 / 2


def _others(outputs: Tensor, target: Tensor) -> Tensor:
    """The mutant: divides by the losses of the labels without a gradient through them."""
    own = cross_entropy(outputs, target)
    return own / -outputs.log_softmax(1).sum(1).detach()


def _active(outputs: Tensor, target: Tensor) -> Tensor:
    """The mutant: the first term without its normalisation, and no second one."""
    return cross_entropy(outputs, target) + active_passive(outputs, target, active=1, passive=0)


LOSSES: dict[str, Loss] = {
    "": partial(active_passive, active=1.0, passive=PASSIVE),
    "holds-the-sum-fixed": _others,
    "forgets-to-normalise": _active,
}


@cache
def _alone(seed: int) -> float:
    """Accuracy on the true labels of the learned rows, with the active loss alone."""
    return learned(seed, normalized_cross_entropy)[1]


def trial(seed: int, mutant: str = "") -> Trial:
    """Clean test accuracy after long training on labels of which 60 % are wrong."""
    robust, fit = learned(seed, LOSSES[mutant])
    usual = plain(seed)[0]
    return Trial(robust, usual, robust > usual + 0.1 and fit > _alone(seed))


CLAIM = Claim(
    paper="apl",
    methods=("loss:normalized-cross-entropy", "loss:active-passive"),
    says="With 60 % wrong labels the active and passive loss ends more than 10 points above "
    "cross-entropy, and fits the true labels of the learned rows better than the active loss "
    "alone, which underfits.",
    left="clean test accuracy with the active and passive loss",
    right="clean test accuracy with cross-entropy",
    trial=trial,
    seeds=(31, 32, 33),
    mutants=("holds-the-sum-fixed", "forgets-to-normalise"),
    seconds=60,
    quick=False,
)
