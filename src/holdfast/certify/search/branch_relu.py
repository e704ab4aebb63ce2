"""Branch and bound over the signs of what goes into ReLUs, with multipliers for the splits."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Literal

import torch
from torch import Tensor

from holdfast.certify.search.branching import divided
from holdfast.certify.search.given import LEVEL, alone, given
from holdfast.certify.search.rooted import Rooted
from holdfast.certify.search.shares import reshaped, shaped
from holdfast.certify.search.splits import Splits
from holdfast.certify.search.stack import Pace, pop
from holdfast.certify.search.tried import lowest, probe

Answer = Literal["unsat", "sat", "unknown"]
LEAST, MOST = 2, 256  # parts bounded together
FIRST_STEPS, STEPS = 40, 10  # evaluations: of the root, of a part
EARLY, SOON = 0.1, 0.02  # of the time, for a first search: of dense layers or not
BRIEF = 0.1  # of what is left, for alternatives one by one before neurons are bounded on their own


class ReluSplits(Rooted):
    """Splits a neuron whose sign is open into the cases "not positive" and "not negative".

    In each case its ReLU is linear, and the condition itself enters the bound with a multiplier
    that is optimised together with the slopes (beta-CROWN). One tree serves all alternatives.

    The bounds of neurons are those of the whole region, optimised once. In a network of dense
    layers, neurons that never fire are left out and every part bounds its neurons anew: a split
    shrinks all that lies behind it, which closes deep networks in a few splits. That is done with
    the slopes that the ascent of the whole found for each neuron: slopes of least area begin so
    far behind its boxes that the first splits would gain nothing. Elsewhere, and where a proof is
    recorded, boxes are only cut at zero by the splits.

    What a first search leaves open is searched anew, unless a proof is recorded: dense layers once
    every open neuron has been bounded by a branch and bound of its own, since gains in early layers
    multiply; others one alternative at a time, by contradiction (`given.py`), with planes above
    the first neurons that are chosen for parts, every few splits anew (`shares.py`). What that
    leaves open in a short time is searched so once more, after every open neuron behind the first
    has been bounded with planes of its own (`firm.py`).
    """

    def run(self, most: int | None = None) -> Answer:
        """Search until all parts are closed, a counterexample is found or time is up."""
        whole = self.rooted()
        if whole is None:
            return "unknown"
        now, several = time.monotonic(), self.tree is None and len(self.signed.relus) > 1
        share = (EARLY if self.signed.renew else SOON) if several else 1.0
        early = now + share * max(0.0, self.deadline - now)
        answer: Answer = self.searched(whole, most, early)
        if answer != "unknown" or not several or self.stuck or self.spent(most, self.deadline):
            return answer
        if self.signed.renew:
            return self.searched(self.strengthened(whole.bound), most, self.deadline)
        self.least, now = min(self.least, LEVEL), time.monotonic()
        if self.signed.first:
            brief = BRIEF * (self.deadline - now) / int(whole.open.sum())
            answer = self.each(whole, most, brief)
            if answer != "unknown" or self.stuck or self.spent(most, self.deadline):
                return answer
            whole = self.strengthened(whole.bound)
        return self.each(whole, most, torch.inf)

    def each(self, whole: Splits, most: int | None, seconds: float) -> Answer:
        """Search one alternative after the other; what is refuted is no longer open."""
        every, answers = self.signed, set[Answer]()
        for j in whole.open[0].nonzero().flatten().tolist():
            self.signed, one = alone(every, whole.bound, j)
            until = min(self.deadline, time.monotonic() + seconds)
            answers.add(answer := self.searched(shaped(self.signed, one, until), most, until))
            if answer == "unsat":
                whole.bound[0, j] = LEVEL
            elif answer == "sat" or self.stuck or seconds == torch.inf:
                break
        self.signed = every
        return next((one for one in ("sat", "unknown") if one in answers), "unsat")

    def spent(self, most: int | None, until: float) -> bool:
        """Whether time is up, or the number of parts reached."""
        return time.monotonic() > until or (most is not None and self.domains >= most)

    def searched(self, whole: Splits, most: int | None, until: float) -> Answer:
        """Search the whole region."""
        self.least = min([self.least, *whole.bound[whole.bound > 0].tolist()])
        stack = [whole] if bool(whole.open.any()) else []
        pace, first = Pace(LEAST, MOST, LEAST), True
        while stack:
            batch = pop(stack, pace.size, Splits.join)
            if self.spent(most, until):
                return "unknown"
            batch = given(self.signed, batch, self.deadline)
            if not len(batch):
                continue
            batch = reshaped(self.signed, batch, self.deadline)
            pace.start()
            left = self.bounded(batch, FIRST_STEPS if first and not batch.shares else STEPS)
            if self.witness is not None:
                return "sat"
            if self.stuck:
                return "unknown"
            if len(left) and len(halves := self.halved(left)):
                stack.append(halves)
            pace.stop()
            first = False
        return "unsat"

    def bounded(self, batch: Splits, steps: int) -> Splits:
        """Bound a batch; what stays open of it."""
        self.domains += len(batch)
        before = batch.open
        slope = self.signed.improve(batch, steps, self.deadline)
        open_ = batch.open.any(1)
        if bool(open_.any()):
            worst = batch.bound[open_].argmin(1)
            down = slope[open_][torch.arange(len(worst)), worst]
            self.witness = probe(self.network, self.unsafe, lowest(self.region, down)).witness
        if self.witness is None:
            self.settled(batch)
        self.closed(batch, before)
        return batch.take(batch.open.any(1))

    def settled(self, batch: Splits) -> None:
        """Ask a linear program about parts without an open sign."""
        known = self.signed.whole_known(batch)
        for row, j in (batch.open & known[:, None]).nonzero().tolist():
            done, x = self.signed.settle(batch, row, j)
            if not done:
                self.witness = probe(self.network, self.unsafe, x[None]).witness
                self.stuck = True
                return

    def closed(self, batch: Splits, before: Tensor) -> None:
        """Take note of what was open before and is proved now."""
        fresh = before & ~batch.open
        if bool(fresh.any()):
            self.least = min(self.least, float(batch.bound[fresh].min()))
            if self.tree is not None:
                self.tree.refuted(self.signed, batch, fresh)

    def halved(self, parts: Splits) -> Splits:
        """The halves of parts that stay open, the worst last."""
        halves, index = divided(self.signed, parts)
        before = parts.open.repeat(2, 1)
        if self.tree is not None:
            halves = replace(halves, node=self.tree.split(parts.node, index))
        self.closed(halves, before)
        halves = halves.take(halves.open.any(1))
        return halves.take(halves.bound.amin(1).argsort(descending=True))
