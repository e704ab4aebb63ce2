"""What is lost on a domain that training never saw."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import nn

from holdfast.core.data import Batches
from holdfast.core.errors import ConfigError
from holdfast.core.records import Reading
from holdfast.run.forward import correct, outputs
from holdfast.run.reading import proportion


@dataclass(frozen=True, eq=False)
class LeftOut:
    """Accuracy on each domain when it was in training, and when it was left out.

    Args:
        inside: by domain, on its held-out rows, by the model of all other domains' training
            rows and its own.
        outside: by domain, on the same rows, by the model that never saw the domain.
    """

    inside: tuple[Reading, ...]
    outside: tuple[Reading, ...]

    @property
    def gap(self) -> float:
        """Mean of what is lost by not having seen a domain."""
        pairs = zip(self.inside, self.outside, strict=True)
        return sum(a.value - b.value for a, b in pairs) / len(self.inside)

    @property
    def worst(self) -> Reading:
        """The lowest accuracy on a domain never seen."""
        return min(self.outside, key=lambda r: r.value)

    def readings(self) -> tuple[Reading, ...]:
        """All accuracies."""
        return self.inside + self.outside


def leave_one_domain_out(
    train: Callable[[Batches], nn.Module], domains: Batches, *, alpha: float = 0.05
) -> LeftOut:
    """Trains once on all domains and once without each, and compares on the same held-out rows.

    Args:
        train: training rows -> a trained model.
        domains: rows with their domains in `group`; every fourth row of each is held out.
        alpha: each interval covers with probability at least 1 - alpha.

    Raises:
        ConfigError: without domains, or with fewer than two.

    Cost: D + 1 trainings.
    """
    group = domains.group
    if group is None or len(group.unique()) < 2:
        raise ConfigError(
            "leave_one_domain_out needs rows of two domains or more, got "
            f"{0 if group is None else len(group.unique())}",
            fix="Give Batches(x=x, y=y, group=domain) with the number of the domain of every row.",
        )
    held = torch.zeros(len(domains), dtype=torch.bool)
    for g in group.unique():
        held[(group == g).nonzero()[:, 0][::4]] = True
    whole = train(domains.take(~held))
    inside: list[Reading] = []
    outside: list[Reading] = []
    for g in group.unique().tolist():
        rows = domains.take(held & (group == g))
        alone = train(domains.take(~held & (group != g)))
        for model, found, word in ((whole, inside, "seen"), (alone, outside, "unseen")):
            right = correct(outputs(model, rows.x), rows.y)
            found.append(
                proportion(f"domain.{g}.{word}", int(right.sum()), len(right), alpha=alpha)
            )
    return LeftOut(tuple(inside), tuple(outside))
