"""Each planted mistake is detected, and sound subjects are left in peace."""

import functools
from dataclasses import replace

import pytest
import torch
from torch import nn

from holdfast.core.data import Batches
from holdfast.core.records import Severity, Subject
from holdfast.readers import read_data, subject
from holdfast.run.preflight import MOST_ROWS, forecast, looked_at, operations, preflight
from holdfast.run.preflight_labels import clearly_better, paired_p


def trained(batches, model, steps=150):
    """The model after some steps of full-batch Adam, in evaluation mode."""
    optimizer = torch.optim.Adam(model.parameters(), lr=0.02)
    for _ in range(steps):
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(batches.x), batches.y).backward()
        optimizer.step()
    return model.eval()


def linear(rows, steps=150):
    """A trained linear model."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        net = nn.Sequential(nn.Flatten(), nn.Linear(rows.x[0].numel(), len(rows.classes)))
        return trained(rows, net, steps)


def convolutional(channels, classes):
    return nn.Sequential(
        nn.Conv2d(channels, 6, 3, 2), nn.BatchNorm2d(6), nn.ReLU(), nn.Dropout(0.1),
        nn.Flatten(), nn.LazyLinear(classes),
    )  # fmt: skip


@functools.cache
def colours():
    """RGB pictures: class = how two channels compare, so BGR and axes matter; and its model."""
    g = torch.Generator().manual_seed(0)
    y = torch.arange(400) % 4
    x = 0.3 + 0.3 * torch.rand(400, 3, 6, 6, generator=g)
    x[y == 0, 0] += 0.3
    x[y == 1, 2] += 0.3
    x[y == 2, :, :2] += 0.3
    x[y == 3, :, :, :2] += 0.3
    rows = Batches(x=x, y=y, classes=("red", "blue", "top", "left"))
    return rows, linear(rows)


@functools.cache
def digits():
    rows = read_data("digits").take(slice(0, 800))
    return rows, linear(rows, 80)


def worries(model, rows, **more):
    asked = Subject(model=model, batches=rows, **more)
    return [f for f in preflight(asked) if f.severity >= Severity.WARNING]


def said(model, rows, text, **more):
    found = worries(model, rows, **more)
    assert any(text in f.says for f in found), [f.says for f in found]
    return next(f for f in found if text in f.says)


class Around(nn.Module):
    """A model behind a change of its inputs or before one of its outputs."""

    def __init__(self, model, before=None, after=None):
        super().__init__()
        self.model, self.before, self.after = model, before, after

    def forward(self, x):
        z = self.model(self.before(x) if self.before else x)
        return self.after(z) if self.after else z


# Sound subjects


@pytest.mark.parametrize("name", ["digits", "breast-cancer", "synthetic:blobs:400"])
def test_silent_on_sound_subjects(name):
    rows = read_data(name)
    size = rows.x[0].numel()
    with torch.random.fork_rng():
        torch.manual_seed(1)
        scale = rows.x.std(0).clamp(min=1e-3) if rows.x.dim() == 2 else torch.ones(())
        net = trained(rows, Around(nn.Sequential(nn.Flatten(), nn.Linear(size, len(rows.classes))),
                                   lambda x: x / scale))  # fmt: skip
    asked = subject(net, rows)
    found = preflight(asked)
    assert max(f.severity for f in found) == Severity.GOOD, [f.says for f in found]
    assert "clean accuracy" in found[0].says and found[0].readings[0].n <= MOST_ROWS


def test_silent_on_a_network_with_batch_norm_and_dropout():
    rows = read_data("synthetic:stripes:400")
    with torch.random.fork_rng():
        torch.manual_seed(0)
        net = trained(rows, convolutional(1, 2), 40)
    assert not worries(net, rows)


@pytest.mark.parametrize("share", [0.4, 0.7, 0.9])
def test_silent_on_a_mediocre_model(share):
    """A model that is simply wrong at random gives no reason to suspect labels or units."""
    rows, net = digits()
    g = torch.Generator().manual_seed(5)
    noisy = torch.rand(800, generator=g) > share
    y = torch.where(noisy, torch.randint(10, (800,), generator=g), rows.y)
    assert not worries(net, replace(rows, y=y))


def test_silent_on_many_classes_answered_by_chance_alone():
    """The best of all assignments fits noise; tried on other rows it does not."""
    g = torch.Generator().manual_seed(0)
    x, y = torch.rand(256, 4, generator=g), torch.randint(50, (256,), generator=g)
    net = nn.Linear(4, 50).eval()
    assert not any("permuted" in f.says for f in worries(net, Batches(x=x, y=y)))


# Planted mistakes


def test_normalisation_left_out():
    rows, _ = colours()
    strict = linear(replace(rows, x=(rows.x - 0.5) / 0.2))
    strict[1].bias.data += torch.tensor([0.0, 6.0, 0.0, 0.0])
    finding = said(strict, rows, "standardised")
    assert "--mean" in finding.advice and "--std" in finding.advice


def test_normalisation_outside_the_model():
    rows, net = colours()
    outside = replace(rows, x=(rows.x - 0.485) / 0.229)
    finding = said(Around(net, lambda x: x * 0.229 + 0.485), outside, "outside the model")
    assert finding.severity == Severity.FAILURE and "--mean" in finding.advice


def test_probabilities():
    rows, net = digits()
    said(Around(net, after=lambda z: z.softmax(1)), rows, "probabilities")
    assert not worries(Around(net, after=lambda z: z.log_softmax(1)), rows)


def test_training_mode():
    rows, _ = digits()
    net = nn.Sequential(convolutional(1, 10))
    with torch.no_grad():
        net(rows.x[:4])
    found = said(net.train(), rows, "training mode")
    assert "BatchNorm2d" in found.says and "Dropout" in found.says and net.training


def test_permuted_labels():
    rows, net = digits()
    order = torch.tensor([3, 1, 4, 0, 5, 9, 2, 6, 8, 7])
    finding = said(net, replace(rows, y=order[rows.y]), "permuted")
    assert finding.readings[0].value > 0.85


def test_bytes_as_data():
    rows, net = digits()
    assert said(net, replace(rows, x=(rows.x * 255).round()), "bytes").severity == Severity.FAILURE
    said(net, replace(rows, x=(rows.x * 255).to(torch.uint8)), "type torch.uint8")


def test_a_model_that_wants_bytes():
    rows, _ = digits()
    hungry = linear(replace(rows, x=rows.x * 255))
    hungry[1].bias.data += torch.linspace(-20, 20, 10)
    assert "0.00392157" in said(hungry, rows, "in [0, 255]").advice


def test_divided_twice():
    rows, net = digits()
    said(net, replace(rows, x=rows.x / 255), "divided by 255 twice")


def test_swapped_colours():
    rows, net = colours()
    assert "channels" in said(Around(net, lambda x: x.flip(1)), rows, "BGR").advice


def test_swapped_axes():
    rows, net = digits()
    said(Around(net, lambda x: x.transpose(2, 3)), rows, "height and width swapped")


def test_channels_last():
    rows, _ = colours()
    last = Around(nn.Sequential(nn.Linear(3, 3), nn.Flatten(), nn.Linear(108, 4)))
    assert "permute" in said(last, rows, "channels last").advice


def test_a_model_that_draws():
    rows, net = digits()
    said(Around(net, lambda x: x + 0.01 * torch.randn_like(x)), rows, "random numbers")


def test_rows_that_depend_on_each_other():
    rows, net = digits()
    said(Around(net, lambda x: x - x.mean(0)), rows, "depends on the other rows")


def test_no_gradient():
    rows, net = digits()
    said(Around(net, lambda x: x.detach()), rows, "No gradient")
    said(Around(net, lambda x: (x * 16).round() / 16), rows, "exactly zero on 100%")


def test_duplicate_rows():
    rows, net = digits()
    double = rows.take(torch.cat([torch.arange(400), torch.arange(20)]))
    finding = said(net, double, "repeat earlier rows")
    assert finding.rows == tuple(range(400, 420))
    shared = said(
        net, rows.take(slice(0, 400)), "in the reference", trusted=rows.take(slice(380, 800))
    )
    assert shared.rows == tuple(range(380, 400))


def test_outputs_of_the_wrong_form():
    rows, net = digits()
    said(Around(net, after=lambda z: z[:, :1]), rows, "one number per row")
    said(Around(net, after=lambda z: z[:, :5]), rows, "knows 5 classes")
    said(Around(net, after=lambda z: z / 0), rows, "NaN or infinity")
    said(nn.Linear(3, 3), rows, "does not take rows of shape")


def test_no_better_than_the_commonest_class():
    rows, net = digits()
    uneven = rows.take((rows.y < 2) | (torch.arange(800) % 20 == 0))
    said(Around(net, after=lambda z: z * 0 + torch.linspace(1, 0, 10)), uneven, "always answering")
    said(Around(net, after=lambda z: z.roll(3, 1)), rows, "permuted")
    said(Around(net, after=lambda z: z - 99 * torch.eye(10)[4]), rows, "never answers 4")


# How it works


def test_leaves_no_trace():
    rows, _ = digits()
    net = convolutional(1, 10)
    with torch.no_grad():
        net(rows.x[:4])
    net.train()
    before = {k: v.clone() for k, v in net.state_dict().items()}
    state = torch.random.get_rng_state()
    preflight(Subject(model=net, batches=rows))
    assert all(torch.equal(v, before[k]) for k, v in net.state_dict().items())
    assert net.training and torch.equal(state, torch.random.get_rng_state())
    assert all(p.grad is None and p.requires_grad for p in net.parameters())
    assert not any(m._forward_hooks for m in net.modules())


def test_mcnemar_by_hand():
    before = torch.tensor([True] * 3 + [False] * 10 + [True] * 50)
    after = torch.tensor([False] * 3 + [True] * 10 + [True] * 50)
    p = 2 * sum([1, 13, 78, 286]) / 2**13  # 3 or fewer of 13
    assert paired_p(before, after) == pytest.approx(p)
    assert not clearly_better(before, after) and paired_p(before, before) == 1.0
    assert clearly_better(torch.zeros(63).bool(), torch.ones(63).bool())


def test_rows_are_fewer_for_costly_models_and_never_depend_on_time():
    rows, net = digits()
    assert operations(net, rows.x[:2]) == 2 * 640
    assert len(looked_at(net, rows)) == 256
    wide = nn.Sequential(nn.Flatten(), nn.Linear(64, 20000), nn.Linear(20000, 4000))
    assert 32 <= len(looked_at(wide, rows)) < 256


def test_forecast_measures_this_machine():
    rows, net = digits()
    found = forecast(Subject(model=net, batches=rows))
    assert 0 < found.forward < 1 and found.backward > 0 and found.memory >= 0
    assert forecast(Subject()).forward == 0 and preflight(Subject()) == []
