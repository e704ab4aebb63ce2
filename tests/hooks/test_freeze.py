"""What is not tuned stays bit for bit."""

from dataclasses import replace

import pytest
import torch
from torch import nn

from holdfast.core.data import Batches
from holdfast.core.errors import ConfigError, Unsupported
from holdfast.core.fields import Later, settings
from holdfast.core.kinds import Hook
from holdfast.hooks.freeze import TuneOnly
from holdfast.recipes.tuned import FIXED_FEATURES, with_head
from holdfast.run.loop import Training


def net() -> nn.Sequential:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return nn.Sequential(
            nn.Linear(4, 8),
            nn.BatchNorm1d(8),
            nn.ReLU(),
            nn.Linear(8, 8),
            nn.ReLU(),
            nn.Linear(8, 3),
        )


def data() -> Batches:
    x = torch.rand(40, 4, generator=torch.Generator().manual_seed(1))
    return Batches(x=x, y=x[:, :3].argmax(1), size=8)


@pytest.mark.parametrize(
    ("hook", "learned"),
    [
        (TuneOnly(), {"5.weight", "5.bias"}),
        (TuneOnly(last=2), {"3.weight", "3.bias", "5.weight", "5.bias"}),
        (TuneOnly(names=("0.weight",)), {"0.weight"}),
        (TuneOnly(names=("1", "3")), {"1.weight", "1.bias", "3.weight", "3.bias"}),
        (TuneOnly(last=9), None),
    ],
)
@pytest.mark.parametrize("optimizer", [
    Later("torch:SGD", lr=0.1, momentum=0.9, weight_decay=0.1),
    Later("torch:AdamW", lr=0.1, weight_decay=0.1),
])  # fmt: skip
def test_only_what_is_named_moves(hook, learned, optimizer):
    model = net()
    before = {k: v.clone() for k, v in model.state_dict().items()}
    Training(hooks=(hook,), epochs=2, optimizer=optimizer)(model, data())
    moved = {k for k, v in model.state_dict().items() if not torch.equal(v, before[k])}
    buffers = {"1.running_mean", "1.running_var", "1.num_batches_tracked"}
    if learned is None:
        assert moved == set(before)
    else:
        assert moved == learned | (buffers if "1.weight" in learned else set())


def test_features_are_frozen_and_the_head_is_a_logistic_regression():
    from sklearn.linear_model import LogisticRegression

    model, rows = net(), data()
    body = model[:-1].eval()
    before = body(rows.x).detach().clone()
    FIXED_FEATURES(model, rows)
    assert torch.equal(body(rows.x), before)
    head = nn.Sequential(model[:-1], nn.Linear(8, 3))
    plan = Training(
        hooks=(TuneOnly(),), epochs=150, optimizer=Later("torch:SGD", lr=5.0), schedule="linear"
    )
    plan(head, Batches(x=rows.x, y=rows.y, size=40))
    reference = LogisticRegression(C=1e6, max_iter=5000).fit(before.numpy(), rows.y.numpy())
    right = float((head(rows.x).argmax(1) == rows.y).double().mean())
    assert right == pytest.approx(reference.score(before.numpy(), rows.y.numpy()), abs=0.051)


def test_a_new_head_is_all_that_differs():
    source = net()
    made = with_head(source, 7, seed=4)
    assert made[-1].weight.shape == (7, 8) and source[-1].weight.shape == (3, 8)
    assert all(torch.equal(v, made.state_dict()[k]) for k, v in source[:-1].state_dict().items())
    assert torch.equal(made[-1].weight, with_head(source, 7, seed=4)[-1].weight)
    with pytest.raises(Unsupported):
        with_head(nn.ReLU(), 2)


def test_a_name_that_fits_nothing():
    with pytest.raises(ConfigError, match=r"0\.weight"):
        TuneOnly(names=("7",)).tuned(net())


def test_probing_first_is_probing_and_then_tuning():
    """Half of the run is the run of the last layer alone; behind it everything moves."""
    step = Later("torch:SGD", lr=0.1)
    both = Training(hooks=(TuneOnly(until=0.5),), epochs=4, optimizer=step, schedule="constant")
    model, twin = net(), net()
    both(model, data())
    Training(hooks=(TuneOnly(),), epochs=2, optimizer=step, schedule="constant")(twin, data())
    start = net().state_dict()
    halfway = {k: v.clone() for k, v in twin.state_dict().items()}
    assert {k for k, v in halfway.items() if not torch.equal(v, start[k])} == {"5.weight", "5.bias"}
    seen = {}

    @settings
    class Look(Hook):
        def stepped(self, run):
            seen[run.step] = {k: v.clone() for k, v in run.model.state_dict().items()}

    model = net()
    replace(both, hooks=(TuneOnly(until=0.5), Look()))(model, data())
    half = len(seen) // 2
    steps = sorted(seen)
    assert all(torch.equal(seen[steps[half - 1]][k], v) for k, v in halfway.items())
    assert all(not torch.equal(v, halfway[k]) for k, v in model.state_dict().items())
