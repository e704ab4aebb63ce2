"""A push goes as far as the oracle reads, and costs the model accuracy."""

from __future__ import annotations

from functools import cache
from typing import Any
from unittest.mock import patch

import torch
from torch import Tensor

from holdfast.checks.oracle import OracleCheck
from holdfast.claims.hardened_net import hardened
from holdfast.claims.harness import Claim, Trial
from holdfast.claims.small_net import digits
from holdfast.core.records import Subject
from holdfast.measures.model import push as file
from holdfast.measures.model.oracle import oracle_relative
from holdfast.measures.model.push import push, verdict

ROWS, STEPS, STEP_SIZE = 200, 50, 0.1


class Oracle:
    """A support vector machine as a model: 1 at its answer, 0 elsewhere."""

    def __init__(self, x: Tensor, y: Tensor) -> None:
        from sklearn.svm import SVC

        self.machine = SVC(gamma="scale", C=10).fit(x.flatten(1).numpy(), y.numpy())

    def __call__(self, x: Tensor) -> Tensor:
        answer = torch.tensor(self.machine.predict(x.detach().flatten(1).double().numpy()))
        return torch.nn.functional.one_hot(answer.long(), 10).to(x)


class Components:
    """The first principal components of the digits as a generator."""

    def __init__(self, x: Tensor, count: int = 32) -> None:
        flat = x.flatten(1)
        self.middle = flat.mean(0)
        self.way = torch.linalg.svd(flat - self.middle, full_matrices=False).Vh[:count]

    def encode(self, x: Tensor) -> Tensor:
        """Latents."""
        found: Tensor = (x.flatten(1) - self.middle) @ self.way.T
        return found

    def decode(self, z: Tensor) -> Tensor:
        """Images."""
        found: Tensor = (self.middle + z @ self.way).reshape(-1, 1, 8, 8)
        return found


@cache
def scene(seed: int) -> tuple[Oracle, Components]:
    """Oracle and generator, from the half that the nets learn from."""
    train, _ = digits(seed)
    return Oracle(train.whole.x, train.y), Components(train.whole.x)  # type: ignore[arg-type]


def trial(seed: int, mutant: str = "") -> Trial:
    """Accuracy left after a long and a short push; what the oracle reads; an oracle by itself."""
    oracle, codec = scene(seed)
    _, test = digits(seed)
    rows = test.take(slice(0, ROWS))
    x: Any = rows.whole.x
    slope, model = file._slope, hardened(seed, 0.0)
    first = [True]

    def lenient(*given: Any) -> Tensor:
        """Bug: what the oracle objects to is kept."""
        seen = verdict(*given)
        seen = seen if first[0] else torch.ones_like(seen)
        first[0] = False
        return seen

    def downhill(*given: Any) -> Tensor:
        """Bug: the push helps the model."""
        return -slope(*given)

    def score(models: list[Any], steps: int) -> float:
        first[0] = True
        found = oracle_relative(models, rows, codec=codec, steps=steps, step_size=STEP_SIZE)
        return found.score

    judge = lenient if mutant == "oracle-never-objects" else verdict
    climb = downhill if mutant == "helps-the-model" else slope
    with patch.object(file, "_slope", climb), patch.object(file, "verdict", judge):
        none, short, long = (score([model, oracle], steps) for steps in (0, 10, STEPS))
        first[0] = True
        pushed = push(model, [oracle], x, rows.y, codec=codec, steps=STEPS, step_size=STEP_SIZE)
        own = score([model, model], STEPS)
    kept = pushed.kept
    read = bool(verdict([oracle], pushed.x[kept], rows.y[kept], "all").all())
    subject = Subject(model=model, batches=rows, others={"oracle": model})
    (finding,) = OracleCheck(steps=5)(subject)
    exact = none == own == finding.readings[0].value == 100
    return Trial(long, short, long < short < 100 and read and exact)


CLAIM = Claim(
    paper="measure:oracle-relative",
    methods=("measure:oracle-relative", "check:oracle-relative"),
    says="The longer the push the less accuracy is left, every pushed digit is one that the "
    "oracle reads, and an oracle judged by itself, or no push, keeps 100 percent.",
    left="score after 50 steps, percent",
    right="score after 10 steps, percent",
    trial=trial,
    seeds=(104, 105, 106),
    mutants=("oracle-never-objects", "helps-the-model"),
    seconds=12,
)
