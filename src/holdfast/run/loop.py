"""The training loop: one for every objective, optimizer and hook."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

from torch import nn

from holdfast.core.data import Batches
from holdfast.core.dice import Dice, dice_or
from holdfast.core.fields import Count, Later, Part, Share, settings
from holdfast.core.inputs import some_rows
from holdfast.core.kinds import Backward, Hook, Objective, Threat
from holdfast.run.scaler import Precision
from holdfast.run.schedule import Schedule
from holdfast.run.training import TrainingRun

T = TypeVar("T", bound="Training")


@settings
class Turn:
    """Another player of a game: its own objective, its own weights, its own optimizer.

    Args:
        objective: what it minimises.
        parts: names of what it trains: keys of `run.parts`, else submodules of the model.
        optimizer: how.
        every: it plays in every such step, before the main objective.
    """

    objective: Part[Objective]
    parts: tuple[str, ...]
    optimizer: Later = Later("torch:SGD", lr=0.1, momentum=0.9)
    every: Count = 1


@dataclass(frozen=True, kw_only=True)
class Control:
    """How a run is watched, limited and kept; none of it changes what is learned.

    Args:
        folder: where checkpoints are kept; a run found there is continued.
        every: steps between checkpoints; 0 means at the end of each epoch.
        progress: called with the run after every step; True asks it to stop.
        deadline: seconds after which it stops between two steps.
    """

    folder: Path | None = None
    every: int = 0
    progress: Callable[[TrainingRun], bool | None] | None = None
    deadline: float | None = None


@settings
class Training:
    """Train a model: the only code that does, whatever is minimised and however.

    Minimises `(share * losses).mean()` plus the `penalty()` of every layer that has one. Each
    step draws from the seed and its own number, and batches from the seed and their epoch, so a
    run that was stopped anywhere and continued ends with the same bits. Dropout and other global
    draws come from the seed too; the global random state is found again as it was left.

    Under torchrun, or in a process group, every process takes its rows of each batch and
    gradients are summed: one process and several learn the same up to rounding, except where
    a layer looks at the whole batch (statistics are those of the process's own rows; the running
    ones are the first process's) or draws global numbers (dropout).

    Cost: what the objective takes, times the evaluations that the optimizer asks for.

    Args:
        objective: one loss per row.
        backward: how gradients are made from it.
        optimizer: made for the parameters that need gradients; always called with a closure. It
            moves all weights in one pass where torch has one that is right (`run/fused.py`).
        hooks: called at each stage, in this order.
        epochs: passes over the data.
        schedule: form of the learning rate over the run.
        warmup: share of the run in which the rate grows.
        accumulate: batches per step; k batches give the step of one batch k times as large,
            except where a layer looks at the whole batch. In a batch of a single row, batch
            normalisation uses its running statistics.
        precision: bits of matrix products: full, bf16 or fp16 (with scaled losses).
        turns: further players.
        channels_last: keep images and weights of convolutions in that order of memory meanwhile.
        compile: a backend of `torch.compile`, as inductor, for the model meanwhile; empty for none.
    """

    objective: Part[Objective] = "objective:supervised"
    backward: Part[Backward] = "backward:backprop"
    optimizer: Later = Later("torch:SGD", lr=0.1, momentum=0.9)
    hooks: tuple[Part[Hook], ...] = ()
    epochs: Count = 10
    schedule: Schedule = "cosine"
    warmup: Share = 0.0
    accumulate: Count = 1
    precision: Precision = "full"
    turns: tuple[Turn, ...] = ()
    channels_last: bool = False
    compile: str = ""

    def __call__(
        self,
        model: nn.Module,
        batches: Batches,
        *,
        dice: Dice | None = None,
        control: Control | None = None,
    ) -> TrainingRun:
        """Train the model in place.

        Args:
            model: changed; left in evaluation mode, without gradients.
            batches: the training data.
            dice: seed and stream of every draw.
            control: checkpoints, progress, deadline.

        Raises:
            ShapeError: without rows, or if the objective does not give one loss per row.
            Unsupported: when the loss is no longer finite; what is kept on disk is from before.
            KeyboardInterrupt: after the step under way was finished and kept.
        """
        from holdfast.run.steps import Steps

        some_rows(batches, "training")
        own = dice_or(dice, len(batches))
        return Steps(self, model, batches, own, control or Control()).run()

    def against(self: T, threat: Threat) -> T:
        """The same training, hardened against another threat, wherever it names one.

        Raises:
            Unsupported: if none of its methods is about a threat.
        """
        from holdfast.run.aimed import aimed

        changed: T = replace(self, **aimed(self, threat))
        return changed


class Clock:
    """Says when to stop: at the deadline, when asked, or after Ctrl-C, always between steps.

    While it runs in the main thread, the first Ctrl-C waits for the end of the step and the
    second one does not. A handler that somebody else has installed is left alone.
    """

    def __init__(self, control: Control) -> None:
        self.control, self.interrupted = control, False
        self.start = time.monotonic()
        self._before: Any = None

    def __enter__(self) -> Clock:
        import signal

        main = threading.current_thread() is threading.main_thread()
        if main and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
            self._before = signal.signal(signal.SIGINT, self._wait)
        return self

    def _wait(self, number: int, frame: object) -> None:
        if self.interrupted:
            raise KeyboardInterrupt
        self.interrupted = True

    def __exit__(self, *error: object) -> None:
        import signal

        if self._before is not None:
            signal.signal(signal.SIGINT, self._before)

    def why(self, run: TrainingRun) -> str:
        """The reason to stop after this step, or nothing."""
        asked = self.control.progress is not None and bool(self.control.progress(run))
        if self.interrupted:
            return "interrupted"
        if asked:
            return "asked"
        limit = self.control.deadline
        return "deadline" if limit is not None and time.monotonic() - self.start > limit else ""
