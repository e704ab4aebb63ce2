"""The stages of a training run, in order."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import Any

import torch
from torch import Tensor, nn

from holdfast.core.catalog import resolve
from holdfast.core.data import Batch, Batches
from holdfast.core.dice import Dice
from holdfast.run import ranks
from holdfast.run.checkpoint import placed
from holdfast.run.keeping import Keeping
from holdfast.run.loop import Clock, Control, Training
from holdfast.run.players import Player, seated
from holdfast.run.scaler import Scaler
from holdfast.run.schedule import rate
from holdfast.run.training import TrainingRun
from holdfast.run.weighted import Weighted, alone, frozen_statistics


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
        self.scaler = Scaler(plan.precision, self.training.memory("scaler"))
        self.position = 0
        self.sums = torch.zeros(2, dtype=torch.float64, device=self.device)

    def run(self) -> TrainingRun:
        """Train, or continue."""
        ranks.join_group(self.device)
        devices = [self.device.index or 0] if self.device.type == "cuda" else []
        try:
            self.keeping = Keeping(self.control.folder, self.plan, self.batches, self.dice)
            with torch.random.fork_rng(devices=devices), Clock(self.control) as clock:
                ranks.seed(self.dice, "start", self.device)
                self._prepare()
                if not self._resume():
                    self._epochs(clock)
                    self._finish(clock)
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
        total, rows = ranks.sum_over_ranks(self.sums).tolist()
        row = {"loss": total / max(rows, 1.0), "rate": run.optimizers[0].param_groups[0]["lr"]}
        run.history.append(row)
        run.dice = self.dice.spawn(f"end{run.epoch}")
        asked = [hook.epoch(run) for hook in self.hooks]
        self.sums.zero_()
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
                finite = self._move(self.players[run.turn], ready)
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
        return mine

    def _move(self, player: Player, group: list[Batch]) -> bool:
        """One step of one optimizer; False if the gradients overflowed."""
        run, plan = self.training, self.plan
        factor = rate(plan.schedule, run.step, run.steps, plan.warmup)
        for settings in player.optimizer.param_groups:
            settings["lr"] = settings["initial_lr"] * factor
        parameters = run.parameters()
        rows = ranks.rows_of_step(group, self.device)
        calls, finite = 0, True

        def closure() -> Tensor:
            nonlocal calls, finite
            for p in parameters:
                p.grad = None
            ranks.seed(self.dice, f"step{run.step}", self.device)
            first = calls == 0
            objective = Weighted(player.objective, plan.precision, self.hooks, self.scaler, rows)
            with torch.enable_grad(), frozen_statistics(run.model, not first):
                for batch in (b for b in group if len(b.index)):
                    run.dice = self.dice.spawn(f"step{run.step}").keyed(batch.index)
                    with alone(run.model, len(batch.index)):
                        self.backward(run, batch, objective)
            ranks.sum_gradients(parameters)
            finite = self.scaler.unscale(parameters)
            if finite and not getattr(player.optimizer, "probing", False):
                for hook in self.hooks:
                    hook.gradients(run)
            if first and player is self.players[0]:
                self.sums += torch.stack([objective.total.double(), objective.rows.double()])
            calls += 1
            return ranks.sum_over_ranks(objective.value)

        player.optimizer.step(closure)  # type: ignore[arg-type]
        self.scaler.update(finite)
        return finite

    def _keep(self, done: bool = False) -> None:
        if self.keeping.file is not None:
            sums = ranks.sum_over_ranks(self.sums)
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
            self.sums = state["sums"].to(self.device)
        if not state["done"]:
            self.training.stopped = ""
        return bool(state["done"])
