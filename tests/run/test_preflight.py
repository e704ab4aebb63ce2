"""Each planted mistake is detected, and sound subjects are left in peace."""

import functools
import json
from dataclasses import replace

import pytest
import torch
from torch import nn

from holdfast.core.data import Batches
from holdfast.core.records import Report, Severity, Subject
from holdfast.readers import read_data, subject
from holdfast.report import render_html, render_json
from holdfast.run.document import document
from holdfast.run.preflight import MOST_ROWS, forecast, looked_at, operations, preflight
from holdfast.run.preflight_readings import clearly_better, paired_p
from holdfast.run.verdict import verdict
from holdfast.threats.grammar import parse


def trained(batches, model, steps=150, radius=0.0):
    """The model after some steps of full-batch Adam, in evaluation mode; hardened with a radius."""
    optimizer = torch.optim.Adam(model.parameters(), lr=0.02)
    for _ in range(steps):
        x = batches.x
        if radius:  # one step along the sign of the gradient from a random start
            start = (x + radius * (2 * torch.rand_like(x) - 1)).requires_grad_()
            nn.functional.cross_entropy(model(start), batches.y).backward()
            x = (start.detach() + 1.25 * radius * start.grad.sign() - x).clamp(-radius, radius) + x
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(x), batches.y).backward()
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


def dense(rows):
    """A small net that standardises inside; it takes the units of the rows."""
    mean, std = rows.x.mean(0), rows.x.std(0).clamp(min=1e-3)
    size, classes = rows.x[0].numel(), len(rows.classes)
    inner = nn.Sequential(nn.Flatten(), nn.Linear(size, 24), nn.ReLU(), nn.Linear(24, classes))
    return Around(inner, lambda x: (x - mean) / std)


def plain_net(rows):
    return nn.Sequential(
        nn.Flatten(), nn.Linear(rows.x[0].numel(), 32), nn.ReLU(), nn.Linear(32, len(rows.classes))
    )


def small_cnn(rows):
    channels, classes = rows.x.shape[1], len(rows.classes)
    return nn.Sequential(
        nn.Conv2d(channels, 8, 3, 2), nn.ReLU(), nn.Flatten(), nn.LazyLinear(classes)
    )


HEALTHY = {
    "digits, dense": ("digits", plain_net, 0.0),
    "digits, dense, hardened": ("digits", plain_net, 0.1),
    "digits, CNN": ("digits", small_cnn, 0.0),
    "digits, CNN, hardened": ("digits", small_cnn, 8 / 255),
    "digits, CNN, hardened far": ("digits", small_cnn, 0.3),
    "stripes, CNN": ("synthetic:stripes:400", small_cnn, 0.0),
    "stripes, CNN, hardened": ("synthetic:stripes:400", small_cnn, 0.1),
    "colours, CNN": ("colours", small_cnn, 0.0),
    "colours, dense, hardened": ("colours", plain_net, 0.1),
    "breast-cancer": ("breast-cancer", dense, 0.0),
    "breast-cancer, hardened": ("breast-cancer", dense, 0.5),
    "blobs": ("synthetic:blobs:400", plain_net, 0.0),
    "blobs, hardened": ("synthetic:blobs:400", plain_net, 0.2),
}


@pytest.mark.parametrize("name", HEALTHY)
def test_silent_on_healthy_subjects_plain_and_hardened(name):
    """Images and tables; a hardened model has given up accuracy, which must raise no suspicion."""
    data, make, radius = HEALTHY[name]
    rows = colours()[0] if data == "colours" else read_data(data)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        net = make(rows)
        net(rows.x[:2])
        net = trained(rows, net, 60, radius)
    found = preflight(subject(net, rows))
    assert max(f.severity for f in found) == Severity.GOOD, [f.says for f in found]
    accuracy = found[0].readings[0].value
    assert accuracy > 0.6, "no healthy subject"


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


def test_a_table_that_was_standardised_outside():
    rows = read_data("breast-cancer")
    mean, std = rows.x.mean(0), rows.x.std(0)
    outside = trained(replace(rows, x=(rows.x - mean) / std), nn.Linear(30, 2), 60)
    found = preflight(subject(outside, rows))
    (finding,) = [f for f in found if "standardised per column" in f.says]
    assert finding.severity == Severity.WARNING and finding.readings[0].value > 0.95
    assert not any("permuted" in f.says for f in found)


def test_a_table_that_was_scaled_outside():
    rows = read_data("breast-cancer")
    low, high = rows.x.amin(0), rows.x.amax(0)
    outside = trained(replace(rows, x=(rows.x - low) / (high - low)), nn.Linear(30, 2), 60)
    found = preflight(subject(outside, rows))
    (finding,) = [f for f in found if "scaled to [0, 1] per column" in f.says]
    assert finding.readings[0].value > 0.9


def test_permuted_labels_of_a_table():
    rows = read_data("breast-cancer")
    net = trained(rows, dense(rows), 40)
    asked = subject(net, replace(rows, y=1 - rows.y))
    assert any("permuted" in f.says for f in preflight(asked))


def test_a_constant_answer_is_no_permutation():
    """Renaming the one class that a model knows gains accuracy, and explains nothing."""
    rows = read_data("breast-cancer")
    found = preflight(subject(lambda x: x[:, :2] * 0 + torch.tensor([1.0, 0.0]), rows))
    assert not any("permuted" in f.says for f in found)
    assert any("no more than always answering" in f.says for f in found)


def test_radii_of_tables_are_shown_in_both_units():
    rows = read_data("breast-cancer")
    threats = (parse("linf:8/255"), parse("l2:0.5"))
    asked = subject(dense(rows).eval(), rows, threats=threats)
    (finding,) = [f for f in preflight(asked) if f.figures]
    first = finding.figures[0].rows[0]
    width = float(rows.x[:, 0].max() - rows.x[:, 0].min())
    assert first["column"] == "mean radius" and len(finding.figures[0].rows) == 30
    assert first["+/- at linf:8/255"] == pytest.approx(8 / 255 * width)
    assert first["+/- at l2:0.5"] == pytest.approx(0.5 * width)
    assert f"{8 / 255 * width:.3g}" in finding.says


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


@pytest.mark.parametrize(
    ("won", "lost", "rows", "better"),
    [
        (499, 0, 10_000, False),  # nearly certain, but less than five points
        (500, 0, 10_000, True),
        (9, 0, 60, False),  # 15 points, but p = 2 / 512
        (11, 0, 60, True),
        (40, 12, 250, True),
        (40, 27, 250, False),
    ],
)
def test_another_reading_must_gain_five_points_and_surely(won, lost, rows, better):
    before = torch.zeros(rows).bool()
    before[:lost] = True
    after = torch.zeros(rows).bool()
    after[lost : lost + won] = True
    assert clearly_better(before, after) == better


def test_the_report_shows_radii_in_both_units():
    rows = read_data("breast-cancer")
    asked = subject(dense(rows).eval(), rows, threats=(parse("linf:0.05"),))
    report = Report(suite="quick", subject={}, outcomes=())
    results = document(report, asked, (), verdict((), (), ()), preflight=preflight(asked))
    html = render_html(json.loads(render_json(results)))
    units = results["subject"]["units"]
    first = 0.05 * (units[0]["high"] - units[0]["low"])
    assert "+/- at linf:0.05" in html and "mean radius" in html and f"{first:.3g}" in html


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
