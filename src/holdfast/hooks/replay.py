"""Batches that come several times in a row."""

from __future__ import annotations

from typing import Any, ClassVar

from holdfast.core.catalog import register
from holdfast.core.data import Batch
from holdfast.core.fields import Count, settings
from holdfast.core.kinds import Hook, Run


@register("hook", cites="fast-at", says="Each batch comes several times in a row.")
@settings
class Replay(Hook):
    """Every batch is seen several times in a row, and as many of those behind it are left out.

    The number of steps stays what it was: an epoch shows a part of the rows, drawn anew each
    time, and as many epochs as there are repeats show each row about once. Needed for
    `objective:free-at`, which improves its changes between repeats.

    Args:
        times: how often; 1 leaves the batches as they are.
    """

    neutral: ClassVar[dict[str, Any]] = {"times": 1}

    times: Count = 8

    def batch(self, run: Run, batch: Batch) -> Batch:
        memory = run.memory(self)
        if not memory.get("left"):
            memory["left"] = self.times - 1
            if self.times > 1:
                memory["batch"] = [batch.x, batch.y, batch.index, batch.group, dict(batch.more)]
            return batch
        memory["left"] -= 1
        return Batch(*memory["batch"])
