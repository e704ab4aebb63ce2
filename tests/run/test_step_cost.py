"""What one step of the loop does besides the step: counted, never timed."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import FrameType
from typing import Any

import torch
import torch.nn.functional as F
from tests.operations import Operations
from torch import nn

import holdfast
from holdfast.core.data import Batches
from holdfast.core.fields import Later
from holdfast.run.loop import Training

STEPS, SIZE = 4, 8  # steps of an epoch, rows of a step
OURS = str(Path(holdfast.__file__).parent)
PLAN = Training(optimizer=Later("torch:SGD", lr=0.1, momentum=0.9), schedule="constant")


def data() -> Batches:
    x = torch.rand(STEPS * SIZE, 6, generator=torch.Generator().manual_seed(7))
    return Batches(x=x, y=x[:, :3].argmax(1), size=SIZE)


def net() -> nn.Module:
    return nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 3))


def bare(epochs: int) -> None:
    model, rows = net(), data()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9, fused=True)
    for _ in range(epochs):
        for part in torch.randperm(len(rows)).split(SIZE):
            optimizer.zero_grad()
            F.cross_entropy(model(rows.x[part]), rows.y[part]).backward()
            optimizer.step()


def looped(epochs: int) -> None:
    replace(PLAN, epochs=epochs)(net(), data())


def operations(train: Callable[[int], None]) -> Counter[str]:
    """Operations of four epochs without those of the first two, where all is made."""
    counts = []
    for epochs in (2, 4):
        with Operations() as seen:
            train(epochs)
        counts.append(seen.count)
    counts[1].subtract(counts[0])
    return counts[1]


def test_a_step_takes_a_handful_of_operations_more_than_one_by_hand() -> None:
    by_hand, ours = operations(bare), operations(looped)
    more = (ours.total() - by_hand.total()) / (2 * STEPS)
    # The positions of the rows, two sums, the value of the step, one look at it, and the epoch.
    assert 0 < more <= 8 + 4 / STEPS, ours - by_hand
    looks = ours["aten._local_scalar_dense.default"] / (2 * STEPS)
    assert looks <= 1 + 2 / STEPS, "one per step, and two where an epoch ends"


def test_a_step_calls_few_functions_of_ours() -> None:
    counts = []
    for epochs in (2, 4):
        seen: Counter[str] = Counter()

        def note(frame: FrameType, event: str, arg: Any, seen: Counter[str] = seen) -> None:
            if event == "call" and frame.f_code.co_filename.startswith(OURS):
                seen[frame.f_code.co_qualname] += 1

        before = sys.getprofile()
        sys.setprofile(note)
        try:
            looped(epochs)
        finally:
            sys.setprofile(before)
        counts.append(seen)
    counts[1].subtract(counts[0])
    assert 0 < counts[1].total() / (2 * STEPS) <= 105, counts[1].most_common(20)
