"""A threat that grows at the beginning of a run, for any objective that has one."""

from __future__ import annotations

from dataclasses import is_dataclass, replace
from typing import Any

from torch import Tensor, nn

from holdfast.core.catalog import register, resolve
from holdfast.core.data import Batch
from holdfast.core.errors import Unsupported
from holdfast.core.fields import Part, Share, settings
from holdfast.core.kinds import Objective, Run, Threat
from holdfast.objectives.boxes import ramp


@register(
    "objective", cites="loss-landscape-at", name="growing-threat",
    says="Any objective against a threat, which grows from nothing to its size.",
)  # fmt: skip
@settings
class GrowingThreat(Objective):
    """An objective whose threat grows from no change at all to its size, then stays.

    A fresh net whose rows are all attacked over a large threat learns the constant answer: where
    no feature of the net survives the attack, the best that a step can do is to forget the
    inputs, and behind it all slopes vanish, so that no later step finds a way out. A smaller
    rate and shorter gradients only walk there more slowly. Features that were learned against
    small changes survive, and are hardened as the threat grows.

    Property: from `end` on it is the base itself, bit for bit; with `end` 0 it always is.

    Unlike the paper the threat grows once, along a line, and the learning rate is left to the
    schedule of the run. What the base keeps in memory is the same at every size.

    Cost: that of the base, also while the threat is of size 0.

    Args:
        base: what is learned; it names its threat.
        wait: share of the run in which nothing is changed.
        end: share of the run behind which the threat has its whole size.

    Raises:
        Unsupported: if the base names no threat.
    """

    base: Part[Objective] = "objective:pgd-at"
    wait: Share = 0.1
    end: Share = 0.3

    @property
    def threat(self) -> Threat:
        """What the base defends against in the end."""
        return _aim(resolve(self.base))

    @property
    def coupled(self) -> bool:
        """Whether a row's number depends on the other rows."""
        return bool(getattr(resolve(self.base), "coupled", False))

    def parts(self, model: nn.Module) -> nn.Module | None:
        """What the base trains besides the model."""
        base: Any = resolve(self.base)
        return base.parts(model) if hasattr(base, "parts") else None

    def __call__(self, run: Run, batch: Batch) -> Tensor:
        base: Any = resolve(self.base)
        threat, size = _aim(base), ramp(run.progress, self.wait, self.end)
        if size == 1:
            whole: Tensor = base(run, batch)
            return whole
        grown = replace(base, threat=threat.scaled(size))
        losses: Tensor = grown(_Remembering(run, grown, base), batch)
        return losses


class _Remembering:
    """A run to which an objective at another size of its threat is still the same one."""

    def __init__(self, run: Run, grown: object, base: object) -> None:
        self._run, self._grown, self._base = run, grown, base

    def __getattr__(self, name: str) -> Any:
        return getattr(self._run, name)

    def memory(self, owner: object) -> dict[str, Any]:
        return self._run.memory(self._base if owner is self._grown else owner)


def _aim(base: Any) -> Threat:
    if not is_dataclass(base) or not hasattr(base, "threat"):
        raise Unsupported(
            f"GrowingThreat: {type(base).__name__} names no threat that could grow",
            fix="Wrap an objective against a threat, such as objective:pgd-at.",
        )
    threat: Threat = resolve(base.threat)
    return threat
