"""The stages of a training run, in order."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import Any

import torch
from torch import nn

from holdfast.core.catalog import resolve
from holdfast.core.data import Batch, Batches
from holdfast.core.dice import Dice
from holdfast.core.labels import blamed
from holdfast.run import ranks
from holdfast.run.checkpoint import placed
from holdfast.run.form import form, laid
from holdfast.run.keeping import Keeping
from holdfast.run.loop import Clock, Control, Training
from holdfast.run.move import Move
from holdfast.run.players import seated
from holdfast.run.training import TrainingRun


class Steps:
    """Runs a training: epochs, steps, turns, and what is kept of them."""

    def __init__(
        self, plan: Training, model: nn.Module, batches: Batches, dice: Dice, control: Control
    ) -> None:
        self.plan, self.batches, self.dice, self.control = plan, batches, dice, control
        self.device = next((p.device for p in model.parameters()), torch.device("cpu"))
        self.hooks = [resolve(h) for h in plan.hooks]
        self.backward = resolve(plan.backward)
        self.objectives = [resolve(plan.objective), *(resolve(t.objective) for t in plan.turns)]
        count = -(-len(batches) // batches.size)
        self.per_epoch = -(-count // plan.accumulate)
        self.training = TrainingRun(model, nn.ModuleDict(), dice, self.per_epoch * plan.epochs)
        self.training.own([self.backward, *self.objectives, *self.hooks])
        self.position = 0
        self.move = Move(plan, self.training, self.hooks, self.backward, dice, self.device)

    def run(self) -> TrainingRun:
        """Train, or continue."""
        ranks.join_group(self.device)
        devices = [self.device.index or 0] if self.device.type == "cuda" else []
        try:
            self.keeping = Keeping(self.control.folder, self.plan, self.batches, self.dice)
            self.move.file = self.keeping.file
            formed = form(self.training.model, self.plan.channels_last, self.plan.compile)
            with torch.random.fork_rng(devices=devices), Clock(self.control) as clock, formed:
                ranks.seed(self.dice, "start", self.device)
                self._prepare()
                if not self._resume():
                    self._epochs(clock)
                    self._finish(clock)
        except RuntimeError as error:
            if "device-side assert" not in str(error):
                raise
            raise blamed(self.batches.y, "training") from error
        finally:
            self.training.model.eval()
            for p in self.training.parameters():
                p.grad = None
        return self.training

    def _prepare(self) -> None:
        run = self.training
        self.players = seated(self.plan, self.objectives, run, self.device)
        run.model.train()
        for hook in self.hooks:
            hook.start(run)

    def _epochs(self, clock: Clock) -> None:
        run = self.training
        while run.epoch < self.plan.epochs and not run.stopped:
            for group in self._groups():
                self._step(group)
                self.position += 1
                run.stopped = self._why(clock)
                if run.stopped and self.position < self.per_epoch:
                    return
                if self.control.every and run.step % self.control.every == 0:
                    self._keep()
            self._epoch_ends()

    def _why(self, clock: Clock) -> str:
        """Why to stop now, or nothing: if one process has to, all of them do."""
        why = clock.why(self.training)
        stop = ranks.any_rank(bool(why), self.device)
        return why or ("asked" if stop else "")

    def _groups(self) -> Iterator[list[Batch]]:
        """The batches of each step of this epoch that are still to come."""
        drawn = self.batches.draw(self.dice.spawn(f"epoch{self.training.epoch}"))
        k = self.plan.accumulate
        remaining = islice(drawn, self.position * k, None)
        while group := list(islice(remaining, k)):
            yield group

    def _epoch_ends(self) -> None:
        run = self.training
        total, rows = ranks.sum_over_ranks(self.move.sums).tolist()
        self.move.sound(total)
        row = {"loss": total / max(rows, 1.0), "rate": run.optimizers[0].param_groups[0]["lr"]}
        run.history.append(row)
        run.dice = self.dice.spawn(f"end{run.epoch}")
        asked = [hook.epoch(run) for hook in self.hooks]
        self.move.begin()
        self.position, run.epoch = 0, run.epoch + 1
        if ranks.any_rank(any(asked), self.device) and not run.stopped:
            run.stopped = "early"
        if run.epoch < self.plan.epochs and not run.stopped:
            self._keep()

    def _finish(self, clock: Clock) -> None:
        run = self.training
        done = run.epoch == self.plan.epochs or run.stopped == "early"
        if not done:
            self._keep()
        if clock.interrupted:
            raise KeyboardInterrupt
        if done and run.stopped != "early":
            run.stopped = ""
        for hook in self.hooks:
            hook.end(run)
        if done:
            self._keep(done=True)

    def _step(self, group: list[Batch]) -> None:
        run = self.training
        ready = [self._ready(batch) for batch in group]
        finite = False
        order = [*range(1, len(self.players)), 0]
        for run.turn in order:
            if run.step % self.players[run.turn].every == 0:
                finite = self.move(self.players[run.turn], ready, main=not run.turn)
        ranks.same_everywhere([run.model, run.parts], buffers_only=True)
        run.advance()
        if finite:
            for hook in self.hooks:
                hook.stepped(run)

    def _ready(self, batch: Batch) -> Batch:
        run = self.training
        mine = Batch(*placed(tuple(ranks.mine(batch)), self.device))
        run.dice = self.dice.spawn(f"step{run.step}/batch").keyed(mine.index)
        for hook in self.hooks:
            mine = hook.batch(run, mine)
        return laid(mine) if self.plan.channels_last else mine

    def _keep(self, done: bool = False) -> None:
        if self.keeping.file is not None:
            sums = ranks.sum_over_ranks(self.move.sums)
            self.move.sound(float(sums[0]))
            more: dict[str, Any] = {"done": done, "position": self.position, "sums": sums}
            self.keeping.write(self.training.state() | more)

    def _resume(self) -> bool:
        """Continue what is kept; True if there is nothing left to do."""
        state = self.keeping.found()
        if state is None:
            return False
        self.training.load(placed(state, self.device))
        self.position = state["position"]
        if ranks.rank() == 0:
            self.move.begin(*state["sums"].tolist())
        if not state["done"]:
            self.training.stopped = ""
        return bool(state["done"])
