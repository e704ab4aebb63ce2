"""Successive versions of one model on the same clean and adversarial prompts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations, pairwise

import torch
from torch import Tensor

from holdfast.core.catalog import register
from holdfast.core.errors import ConfigError, ShapeError
from holdfast.core.records import Reading
from holdfast.ops.statistics import bootstrap_mean
from holdfast.run.reading import proportion

UNREADABLE = -1


def mcnemar(before: Tensor, after: Tensor) -> float:
    """p-value of the exact test that two versions are right equally often.

    Of the rows on which exactly one version is right, each version should have half: the
    two-sided binomial probability of a split at least as uneven.

    Args:
        before: `(n,)` bool, whether the one version is right.
        after: `(n,)` bool, of the other.
    """
    gained, lost = int((after & ~before).sum()), int((before & ~after).sum())
    n, least = gained + lost, min(gained, lost)
    k = torch.arange(least + 1, dtype=torch.float64)
    if not n:
        return 1.0
    logs = torch.lgamma(torch.tensor(n + 1.0).double()) - torch.lgamma(k + 1)
    tail = torch.exp(logs - torch.lgamma(n - k + 1) - n * torch.log(torch.tensor(2.0).double()))
    return min(1.0, 2 * float(tail.sum()))


@dataclass(frozen=True, eq=False)
class OverTime:
    """What successive versions of a model answer on the same items.

    Args:
        right: version -> combination of adversarial slots -> `(n,)` bool, right or not.
        unreadable: version -> how many answers of all combinations could not be read.
        clean: name of the combination without adversarial slots.
        alpha: of the intervals and of what counts as significant.
        seed: of the bootstrap.
    """

    right: Mapping[str, Mapping[str, Tensor]]
    unreadable: Mapping[str, int]
    clean: str
    alpha: float
    seed: int

    def accuracy(self, version: str, combination: str = "") -> float:
        """Share of items that a version gets right; on clean prompts unless said."""
        right = self.right[version][combination or self.clean]
        return int(right.sum()) / len(right)

    def drop(self, version: str, combination: str) -> float:
        """Performance drop rate: the share of clean accuracy that is lost; 0 if there is none."""
        clean = self.accuracy(version)
        return 1 - self.accuracy(version, combination) / clean if clean else 0.0

    def success(self, version: str, combination: str) -> float:
        """Attack success rate: share of items wrong, of those that are right when clean."""
        clean = self.right[version][self.clean]
        lost = clean & ~self.right[version][combination]
        return int(lost.sum()) / max(int(clean.sum()), 1)

    def synergy(self, version: str, both: str, *single: str) -> float:
        """How much more several adversarial slots cost together than the worst of them alone."""
        return self.drop(version, both) - max(self.drop(version, each) for each in single)

    def change(self, before: str, after: str, combination: str = "") -> Reading:
        """Difference in accuracy between two versions, with a bootstrap over paired items."""
        name = combination or self.clean
        a, b = self.right[before][name], self.right[after][name]
        gap = b.double() - a.double()
        low, high = bootstrap_mean(gap, seed=self.seed, alpha=self.alpha)
        return Reading(
            name=f"over_time.{before}->{after}.{name}", value=float(gap.mean()),
            low=float(low), high=float(high), n=len(gap), seed=self.seed,
        )  # fmt: skip

    def silent(self, before: str, after: str) -> tuple[str, ...]:
        """Combinations on which a version lost ground while its clean accuracy did not.

        Lost means less often right, with an exact test of the paired items below alpha.
        """
        if self.accuracy(after) < self.accuracy(before):
            return ()
        pairs = {c: (self.right[before][c], self.right[after][c]) for c in self.right[after]}
        return tuple(
            c for c, (a, b) in pairs.items()
            if int(b.sum()) < int(a.sum()) and mcnemar(a, b) < self.alpha
        )  # fmt: skip

    def readings(self) -> tuple[Reading, ...]:
        """Accuracies, success rates, and changes from each version to the next."""
        found: list[Reading] = []
        versions = list(self.right)
        for v in versions:
            clean = self.right[v][self.clean]
            lost_all = tuple(f"{n} answers could not be read" for n in [self.unreadable[v]] if n)
            for c, right in self.right[v].items():
                found.append(
                    proportion(f"over_time.{v}.{c}", int(right.sum()), len(right),
                               alpha=self.alpha, flags=lost_all)
                )  # fmt: skip
                if c != self.clean and bool(clean.any()):
                    lost = int((clean & ~right).sum())
                    found.append(
                        proportion(f"over_time.{v}.{c}.success", lost, int(clean.sum()),
                                   alpha=self.alpha, better="lower")
                    )  # fmt: skip
        for before, after in pairwise(versions):
            found += [self.change(before, after, c) for c in self.right[after]]
        return tuple(found)


def slot_prompts(
    clean: Mapping[str, Sequence[str]],
    changed: Mapping[str, Sequence[str]],
    *,
    name: str = "clean",
    between: str = "\n",
) -> dict[str, list[str]]:
    """The prompts of every combination of clean and adversarial slots: 4 for two slots, 8 for 3.

    Args:
        clean: slot (description, demonstrations, question), in the order of the prompt, ->
            one text per item.
        changed: slot -> its adversarial texts, of those slots that have any.
        name: of the combination without adversarial slots.
        between: what stands between two slots.

    Returns:
        Combination -> one prompt per item; named by its adversarial slots, joined by `+`.

    Raises:
        ShapeError: unless all slots have as many texts, and each changed one is a slot.
    """
    texts = [*clean.values(), *changed.values()]
    if not clean or len({len(t) for t in texts}) > 1 or not set(changed) <= set(clean):
        raise ShapeError(f"slot_prompts: {[len(t) for t in texts]} texts of the slots, not as many",
                         fix="Give each slot of clean and changed one text per item.")  # fmt: skip
    found = {}
    for count in range(len(changed) + 1):
        for which in combinations([slot for slot in clean if slot in changed], count):
            parts = [changed[s] if s in which else clean[s] for s in clean]
            found["+".join(which) or name] = [between.join(p) for p in zip(*parts, strict=True)]
    return found


@register("measure", cites="robustness-over-time")
def over_time(
    answers: Mapping[str, Mapping[str, Tensor]],
    y: Tensor,
    *,
    clean: str = "clean",
    alpha: float = 0.05,
    seed: int = 0,
) -> OverTime:
    """Compares successive versions of one model on the same clean and adversarial prompts.

    A prompt has slots (description, demonstrations, question), each clean or adversarial
    (`slot_prompts` writes all combinations); every version answers every item under the same
    combinations. All comparisons are of paired items.

    Args:
        answers: version, oldest first -> combination of slots -> `(n,)` answers as labels; -1
            for an answer that cannot be read, which counts as wrong and is reported.
        y: `(n,)` labels.
        clean: name of the combination without adversarial slots.
        alpha: of intervals and tests.
        seed: of the bootstrap.

    Raises:
        ConfigError: if versions differ in their combinations or have no clean one.
        ShapeError: if answers do not match the labels, or there are none.
    """
    if not answers or len({frozenset(c) for c in answers.values()}) > 1:
        raise ConfigError(f"over_time: versions differ: {[sorted(c) for c in answers.values()]}",
                          fix="Give every combination for every version.")  # fmt: skip
    if any(clean not in c for c in answers.values()):
        raise ConfigError(f"over_time: no combination {clean!r}", fix="Name it by clean=.")
    given = [a for c in answers.values() for a in c.values()]
    if not len(y) or any(a.shape != y.shape for a in given):
        raise ShapeError(f"over_time: answers {[tuple(a.shape) for a in given]}, items "
                         f"{tuple(y.shape)}", fix="Give one answer per item of y.")  # fmt: skip
    right = {v: {n: a == y for n, a in c.items()} for v, c in answers.items()}
    lost = {v: sum(int((a == UNREADABLE).sum()) for a in c.values()) for v, c in answers.items()}
    return OverTime(right, lost, clean, alpha, seed)
