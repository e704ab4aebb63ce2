"""Tuning some layers of a net and leaving the others bit for bit as they are."""

from __future__ import annotations

from torch import nn
from torch.nn.modules.batchnorm import _NormBase

from holdfast.core.catalog import register
from holdfast.core.data import Batch
from holdfast.core.errors import ConfigError
from holdfast.core.fields import Count, Share, settings
from holdfast.core.kinds import Hook, Run


def last_layers(model: nn.Module, count: int) -> list[str]:
    """Names of the last layers that have parameters of their own, in the order of the model."""
    named = [n for n, m in model.named_modules() if list(m.parameters(recurse=False))]
    return named[-count:]


def within(model: nn.Module, names: tuple[str, ...]) -> set[str]:
    """Names of the parameters that are one of these or lie in one of these modules.

    Raises:
        ConfigError: for a name that fits none.
    """
    every = [n for n, _ in model.named_parameters(remove_duplicate=False)]
    found: set[str] = set()
    for name in names:
        own = {n for n in every if n == name or not name or n.startswith(f"{name}.")}
        if not own:
            raise ConfigError(
                f"TuneOnly: no parameter lies in {name!r}", fix=f"Such as {', '.join(every[:6])}."
            )
        found |= own
    return found


@register(
    "hook", cites=("robust-transfer", "rift", "low-shot-robustness"), name="tune-only",
    says="Some layers learn.",
)  # fmt: skip
@settings
class TuneOnly(Hook):
    """Tunes the last layers, or those that are named; the others stay bit for bit as they are.

    The gradients of all other parameters are dropped before the optimizer sees them, so that
    neither momentum nor weight decay moves them. Normalisation layers that do not learn use
    their running statistics and leave them alone: with them moving, frozen features would not
    be frozen. With the last layer alone and no hidden dropout, learning is convex.

    Args:
        last: layers with parameters that are tuned, from the end.
        names: modules or parameters that are tuned instead; see `model.named_parameters()`.
        until: share of the run in which the others rest; behind it everything learns.
    """

    last: Count = 1
    names: tuple[str, ...] = ()
    until: Share = 1.0

    def tuned(self, model: nn.Module) -> set[str]:
        """Names of the parameters that learn."""
        return within(model, self.names or tuple(last_layers(model, self.last)))

    def resting(self, run: Run) -> bool:
        """Whether the other layers stay as they are."""
        return self.until == 1 or run.progress < self.until

    def start(self, run: Run) -> None:
        self._set(run, learning=False)

    def batch(self, run: Run, batch: Batch) -> Batch:
        if not self.resting(run):
            self._set(run, learning=True)
        return batch

    def gradients(self, run: Run) -> None:
        if not self.resting(run):
            return
        tuned = self.tuned(run.model)
        for name, parameter in run.model.named_parameters():
            if name not in tuned:
                parameter.grad = None

    def _set(self, run: Run, *, learning: bool) -> None:
        """The mode of normalisation layers that are not tuned."""
        tuned = self.tuned(run.model)
        for name, module in run.model.named_modules():
            own = {f"{name}.{n}".lstrip(".") for n, _ in module.named_parameters()}
            if isinstance(module, _NormBase) and not own & tuned:
                module.train(learning)
