"""The stages of a training run, in order."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import Any

import torch
from torch import Tensor, nn

from holdfast.core.catalog import key, resolve
from holdfast.core.data import Batch, Batches
from holdfast.core.dice import Dice
from holdfast.core.digest import digest
from holdfast.core.errors import ConfigError
from holdfast.run import ranks
from holdfast.run.checkpoint import placed, read_state, write_state
from holdfast.run.loop import Clock, Control, Training
from holdfast.run.players import Player, seated
from holdfast.run.scaler import Scaler
from holdfast.run.schedule import rate
from holdfast.run.training import TrainingRun
from holdfast.run.weighted import Weighted, frozen_statistics

FILE = "training.safetensors"


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
        made = ranks.join_group(self.device)
        devices = [self.device.index or 0] if self.device.type == "cuda" else []
        try:
            with torch.random.fork_rng(devices=devices), Clock(self.control) as clock:
                self._seed("start")
                self._prepare()
                if not self._resume():
                    self._epochs(clock)
                    self._finish(clock)
        finally:
            ranks.leave_group(made)
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
        why = clock.why(self.training)
        if self.control.deadline is None and self.control.progress is None:
            return why
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
        ranks.same_everywhere([run.model, run.parts], buffers_only=True)
        run.dice = self.dice.spawn(f"end{run.epoch}")
        asked = [hook.epoch(run) for hook in self.hooks]
        self.sums.zero_()
        self.position, run.epoch = 0, run.epoch + 1
        if any(asked) and not run.stopped:
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
            self._seed(f"step{run.step}")
            first = calls == 0
            objective = Weighted(player.objective, plan.precision, self.hooks, self.scaler, rows)
            with torch.enable_grad(), frozen_statistics(run.model, not first):
                for batch in (b for b in group if len(b.index)):
                    run.dice = self.dice.spawn(f"step{run.step}").keyed(batch.index)
                    self.backward(run, batch, objective)
            ranks.sum_gradients(parameters)
            finite = self.scaler.unscale(parameters)
            if finite and not getattr(player.optimizer, "probing", False):
                for hook in self.hooks:
                    hook.gradients(run)
            if first and player is self.players[0]:
                self.sums += torch.stack([objective.total.double(), objective.rows.double()])
            calls += 1
            return objective.total / max(rows, 1)

        player.optimizer.step(closure)  # type: ignore[arg-type]
        self.scaler.update(finite)
        return finite

    def _seed(self, name: str) -> None:
        """Global draws (dropout) depend on the seed, the step and the process alone."""
        seed = self.dice.generator(f"{name}/rank{ranks.rank()}").initial_seed()
        torch.default_generator.manual_seed(seed)
        if self.device.type == "cuda":
            with torch.cuda.device(self.device):
                torch.cuda.manual_seed(seed)

    def _identity(self) -> str:
        order = [self.batches.index, self.batches.y, self.batches.size, self.dice.seed]
        return digest([key(self.plan), self.dice.stream, ranks.world(), *order])

    def _keep(self, done: bool = False) -> None:
        if self.control.folder is None or ranks.rank() != 0:
            return
        more: dict[str, Any] = {"identity": self._identity(), "done": done}
        more |= {"position": self.position, "sums": self.sums}
        write_state(self.control.folder / FILE, self.training.state() | more)

    def _resume(self) -> bool:
        """Continue from the folder; True if there is nothing left to do."""
        if self.control.folder is None or not (self.control.folder / FILE).exists():
            return False
        state = read_state(self.control.folder / FILE)
        if state["identity"] != self._identity():
            raise ConfigError(
                f"{self.control.folder.name} holds another training run (settings, data or seed)",
                fix="Use another folder, or the settings it was started with.",
            )
        self.training.load(placed(state, self.device))
        self.position, self.sums = state["position"], state["sums"].to(self.device)
        if not state["done"]:
            self.training.stopped = ""
        return bool(state["done"])
