"""Laws of hooks: neutral settings change nothing, and the run around a hook stays intact."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from torch import nn

from holdfast.core.data import Batches
from holdfast.core.dice import Dice
from holdfast.core.fields import Later
from holdfast.core.kinds import Hook
from holdfast.run.loop import Training
from holdfast.run.training import TrainingRun
from holdfast.testing.laws import LawBroken
from holdfast.testing.laws.objective import world


def _trained(hooks: tuple[Hook, ...], seed: int = 0) -> tuple[nn.Module, TrainingRun]:
    """A small net after six steps."""
    model, _ = world()
    x = torch.rand(24, 4, generator=torch.Generator().manual_seed(6), dtype=torch.float64)
    data = Batches(x=x, y=x[:, :3].argmax(1), size=8)
    plan = Training(
        epochs=2, schedule="constant", optimizer=Later("torch:SGD", lr=0.01), hooks=hooks
    )
    return model, plan(model, data, dice=Dice.of(24, seed))


def _apart(a: nn.Module, b: nn.Module) -> float:
    pairs = zip(a.parameters(), b.parameters(), strict=True)
    return max(float((p - q).detach().abs().max()) for p, q in pairs)


def law_neutral_settings_change_nothing(hook: Hook) -> None:
    """With the settings it declares as `neutral`, the weights are those without it."""
    neutral: dict[str, Any] | None = getattr(hook, "neutral", None)
    if neutral is None:
        return
    quiet = replace(hook, **neutral)  # type: ignore[type-var]
    if _apart(_trained((quiet,))[0], _trained(())[0]) > 1e-12:
        raise LawBroken(f"{quiet!r}: settings declared neutral change the weights")


def law_training_goes_through(hook: Hook) -> None:
    """With it a run ends with finite weights, and the same dice give the same weights."""
    (first, run), (again, _) = _trained((hook,)), _trained((hook,))
    if not all(bool(p.isfinite().all()) for p in first.parameters()) or not run.history:
        raise LawBroken(f"{hook!r}: a run with it does not end well")
    if _apart(first, again) != 0:
        raise LawBroken(f"{hook!r}: the same dice give other weights")


def law_remembers_only_what_can_be_written(hook: Hook) -> None:
    """Its memory holds tensors and plain values, so that a run can be continued."""
    import tempfile
    from pathlib import Path

    from holdfast.run.checkpoint import write_state

    _, run = _trained((hook,))
    with tempfile.TemporaryDirectory() as folder:
        write_state(Path(folder) / "memory", run.state())


def law_shares_have_mean_one(hook: Hook) -> None:
    """A hook that weighs rows gives weights `(B,)` of mean 1, none negative."""
    _, run = _trained((hook,))
    batch = world()[1]
    share = hook.share(run, batch, torch.rand(len(batch.index), dtype=torch.float64))
    if share is None:
        return
    if share.shape != batch.index.shape or bool((share < 0).any()):
        raise LawBroken(f"{hook!r}: shares are not one weight per row")
    if abs(float(share.mean()) - 1) > 1e-6:
        raise LawBroken(f"{hook!r}: shares have mean {float(share.mean()):.4g}, not 1")
