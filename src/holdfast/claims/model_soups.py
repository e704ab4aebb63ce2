"""A greedy soup against its ingredients."""

from __future__ import annotations

import torch

from holdfast.claims.digits import accuracy, net, split, trained
from holdfast.claims.harness import Claim, Trial
from holdfast.core.data import Batches
from holdfast.core.fields import Later
from holdfast.core.kinds import State
from holdfast.merge.soup import greedy_soup, mean, uniform_soup
from holdfast.run.loop import Training


def _reversed(states: list[State], model: torch.nn.Module, held: Batches) -> State:
    """The mutant: starts with the worst model and keeps what makes it worse."""
    ranked = sorted(states, key=lambda s: _right(s, held))
    return mean(ranked[:2])


def _right(state: State, held: Batches) -> float:
    model = net(0)
    model.load_state_dict(state)
    return accuracy(model, held)


def trial(seed: int, mutant: str = "") -> Trial:
    """Accuracy on the held-out rows; one of the ingredients is spoilt by its rate."""
    data, held = split(seed, 512)
    start = trained(seed, data.take(slice(0, 256)), "objective:supervised", 4).state_dict()
    states: list[State] = []
    for number, lr in enumerate((0.01, 0.03, 0.1, 0.3, 60.0)):
        model = net(seed)
        model.load_state_dict({k: v.clone() for k, v in start.items()})
        plan = Training(optimizer=Later("torch:SGD", lr=lr), epochs=2, schedule="constant")
        plan(model, data.take(slice(64 * number, 64 * number + 256)))
        states.append({k: v.detach().clone().nan_to_num(0.0) for k, v in
                       model.state_dict().items()})  # fmt: skip
    if mutant == "takes-everything":
        soup = uniform_soup(states)
    elif mutant == "starts-with-the-worst":
        soup = _reversed(states, net(seed), held)
    else:
        soup = greedy_soup(states, model=net(seed), batches=held)
    left, right = _right(soup, held), max(_right(s, held) for s in states)
    return Trial(left, right, left >= right)


CLAIM = Claim(
    paper="model-soups",
    methods=("merge:greedy-soup", "merge:uniform-soup"),
    says="On the rows it is chosen by, a greedy soup is never worse than the best single model.",
    left="accuracy of the greedy soup",
    right="accuracy of the best single model",
    trial=trial,
    mutants=("takes-everything", "starts-with-the-worst"),
    seconds=5,
)
