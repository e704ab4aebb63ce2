"""A training under watch: clean and attacked accuracy of rows held out, and the best weights."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import Any, Literal

from torch import nn

from holdfast.core.catalog import build, resolve
from holdfast.core.data import Batches
from holdfast.core.dice import Dice
from holdfast.core.fields import Count, Ingredient, Part, Share, ingredient, settings
from holdfast.core.kinds import Hook, Run, State, Threat
from holdfast.run.held import accuracies, note, put_back
from holdfast.threats.norms import LInf

_EVERY, _HOUR = 10.0, 60  # seconds between lines within an epoch; minutes


def standing(
    model: nn.Module, rows: Batches, threat: Threat, steps: int, seed: int
) -> tuple[int, int]:
    """How many rows are right, and how many stay right under PGD with the same draws each time."""
    dice = Dice(seed, rows.index, "harden")
    return accuracies(model, rows, build("attack:pgd", steps=steps), threat, dice)


@settings
class Watch(Hook):
    """Measures after every epoch and ends the run with the best weights it has seen.

    Measured are the weights that the run would end with: where a hook keeps a mean of them, the
    mean. Of equal epochs the later one counts, for its learning rate is smaller. Weights from
    before `since` do not compete: there the recipe has not come to its full strength. Where a
    hook changes the weights at the end in a way that cannot be foreseen, only the last compete.

    Args:
        rows: held out, and not those that the result is judged on.
        threat: of the attack.
        by: what is best: `robust` accuracy, or `clean` where a recipe is about something else.
        since: share of the run behind which weights compete.
        steps: of the attack.
        seed: of its draws.
        means: hooks of the run; those that end it with other weights have `averaged`.
    """

    rows: Ingredient[Batches] = ingredient()
    threat: Part[Threat] = LInf()
    by: Literal["robust", "clean"] = "robust"
    since: Share = 0.0
    steps: Count = 10
    seed: int = 0
    means: tuple[Part[Hook], ...] = ()

    def epoch(self, run: Run) -> bool | None:
        clean, robust = self.look(run)
        history: list[dict[str, float]] = getattr(run, "history", [])
        history[-1] |= {"clean": clean, "robust": robust}
        return False

    def end(self, run: Run) -> None:
        memory = run.memory(self)
        if memory.get("step") != run.step or not self._foreseen:
            self.look(run, last=True)
        put_back(run, memory)

    @property
    def _foreseen(self) -> bool:
        """Whether it is known at any time with which weights the run would end."""
        hooks = [h for h in map(resolve, self.means) if type(h).end is not Hook.end]
        return all(hasattr(h, "averaged") for h in hooks)

    def look(self, run: Run, *, last: bool = False) -> tuple[float, float]:
        """Clean and attacked accuracy of the weights as they would be handed over now."""
        memory, rows, state = run.memory(self), self.rows, self._handed(run)
        if rows is None or not len(rows):
            return float("nan"), float("nan")
        own = {k: v.detach().clone() for k, v in run.model.state_dict().items()}
        try:
            run.model.load_state_dict(state)
            counts = standing(run.model, rows, resolve(self.threat), self.steps, self.seed)
        finally:
            run.model.load_state_dict(own)
        clean, robust = (count / len(rows) for count in counts)
        memory["step"], score = run.step, robust if self.by == "robust" else clean
        if run.progress >= self.since and (self._foreseen or last):
            note(memory, score, state, at=run.epoch, clean=clean, robust=robust)
        return clean, robust

    def _handed(self, run: Run) -> State:
        """The weights that the run would end with."""
        for hook in map(resolve, self.means):
            averaged: Callable[[Run], State] | None = getattr(hook, "averaged", None)
            if averaged is not None and getattr(hook, "swap", True):
                return averaged(run)
        return run.model.state_dict()


class Teller:
    """Prints how far a training is, and what was measured after each epoch.

    Args:
        epochs: planned.
        note: called with seconds spent since the last call, every few seconds.
    """

    def __init__(self, epochs: int, note: Callable[[float], None]) -> None:
        self.epochs, self.note = epochs, note
        self.begun = self.told = self.noted = time.monotonic()
        self.first: float | None = None
        self.lines = -1

    def __call__(self, run: Any) -> None:
        """After every step."""
        now = time.monotonic()
        if self.first is None:  # a run that goes on has epochs behind it that were told already
            self.first, self.lines, self.begun = run.progress, len(run.history), now
        self.rows(run)
        if now - self.told >= _EVERY:
            self.told = now
            _say(f"  epoch {run.epoch + 1}/{self.epochs}, {run.progress:.0%}{self._left(run)}")
        if now - self.noted >= 1.0:
            self.note(now - self.noted)
            self.noted = now

    def rows(self, run: Any) -> None:
        """What was measured after the epochs that are over."""
        for number, row in list(enumerate(run.history))[max(self.lines, 0) :]:
            told = f"clean {row['clean']:.1%}  robust {row['robust']:.1%}" if "clean" in row else ""
            loss = f"loss {row['loss']:.4g}  " if "loss" in row else ""
            _say(f"  epoch {number + 1}/{self.epochs}  {loss}{told}{self._left(run)}")
            self.told = time.monotonic()
        self.lines = len(run.history)

    def _left(self, run: Any) -> str:
        done = run.progress - (self.first or 0.0)
        if done <= 0 or run.progress >= 1:
            return ""
        left = (time.monotonic() - self.begun) / done * (1 - run.progress)
        return f"  {clock(left)} left"


def clock(seconds: float) -> str:
    """Seconds as people say them."""
    whole = round(seconds)
    minutes, rest = divmod(whole, 60)
    if minutes >= _HOUR:
        return f"{minutes // _HOUR}h{minutes % _HOUR:02d}m"
    return f"{minutes}m{rest:02d}s" if minutes else f"{whole}s"


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
