"""Training by the logarithmic score makes a model answer with true frequencies."""

from __future__ import annotations

from dataclasses import replace

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from holdfast.claims.harness import Claim, Trial
from holdfast.core.data import UNLABELLED, Batch, Batches
from holdfast.core.fields import Later, settings
from holdfast.core.goal import Outputs, logits
from holdfast.core.kinds import Objective, Run
from holdfast.losses.cross_entropy import cross_entropy
from holdfast.losses.pick import of_target
from holdfast.objectives.supervised import Supervised
from holdfast.recipes.standard import Standard

CONTEXTS, CLASSES, ROWS = 3, 4, 600


def _absolute(outputs: Outputs, target: Tensor) -> Tensor:
    """Bug: 1 - p of the label, which is least for certainty about the commonest one."""
    return of_target(1 - logits(outputs).softmax(-1), target)


def _careless(outputs: Outputs, target: Tensor) -> Tensor:
    """Bug: rows without a label count as class 0."""
    return cross_entropy(outputs, target.clamp(min=0))


def _unnormalised(outputs: Outputs, target: Tensor) -> Tensor:
    """Bug: the logistic loss of the label alone, without what the others are given."""
    return of_target(-F.logsigmoid(logits(outputs)), target)


@settings
class _Shifted(Supervised):
    """Bug: each row is held against the label of its neighbour."""

    def __call__(self, run: Run, batch: Batch) -> Tensor:
        return super().__call__(run, batch._replace(y=batch.y.roll(1)))


LOSSES = {"absolute-error": _absolute, "counts-unlabelled-rows": _careless,
          "forgets-the-other-labels": _unnormalised}  # fmt: skip


def _data(seed: int) -> tuple[Batches, Tensor]:
    """Rows that name one of three contexts, labels drawn from its frequencies, some missing."""
    g = torch.Generator().manual_seed(seed)
    truth = 0.1 + torch.rand(CONTEXTS, CLASSES, generator=g, dtype=torch.float64)
    context = torch.randint(CONTEXTS, (ROWS,), generator=g)
    y = torch.multinomial(truth[context], 1, generator=g).squeeze(1)
    count = torch.zeros(CONTEXTS, CLASSES, dtype=torch.float64)
    missing = torch.rand(ROWS, generator=g) < 0.2
    one = torch.ones(ROWS, dtype=torch.float64)
    count.index_put_((context[~missing], y[~missing]), one[~missing], accumulate=True)
    x = F.one_hot(context, CONTEXTS).double()
    return (
        Batches(x=x, y=y.masked_fill(missing, UNLABELLED), size=ROWS),
        count / count.sum(1, keepdim=True),
    )


def trial(seed: int, mutant: str = "") -> Trial:
    """Probabilities after training against observed frequencies, context by context."""
    data, frequencies = _data(seed)
    objective: Objective = Supervised(loss=LOSSES.get(mutant, cross_entropy))
    if mutant == "labels-of-the-neighbour":
        objective = _Shifted()
    recipe = Standard(
        objective=objective, optimizer=Later("torch:SGD", lr=5.0, momentum=0.9), epochs=150
    )
    if mutant == "stops-after-one-epoch":
        recipe = replace(recipe, epochs=1)
    model = nn.Linear(CONTEXTS, CLASSES, bias=False).double()
    nn.init.zeros_(model.weight)
    recipe(model, data)
    with torch.no_grad():
        answers = model(torch.eye(CONTEXTS, dtype=torch.float64)).softmax(1)
    off = float((answers - frequencies).abs().max())
    return Trial(off, 1e-3, off <= 1e-3)


CLAIM = Claim(
    paper="good1952rational",
    methods=("loss:cross-entropy", "objective:supervised", "recipe:standard"),
    says="A model that sees three contexts ends with the frequencies of the labels seen in each, "
    "rows without a label left out, to within 0.001.",
    left="largest distance of a probability from the observed frequency",
    right="0.001",
    trial=trial,
    seeds=(101, 102, 103),
    mutants=(*LOSSES, "labels-of-the-neighbour", "stops-after-one-epoch"),
    seconds=5,
)
