"""Lifelong metrics on logs whose numbers are known by hand."""

import numpy as np
import pytest
import torch
from scipy.stats import theilslopes

from holdfast.core.errors import ConfigError, ShapeError
from holdfast.measures.outputs.curves import efficiency, recovery, smoothed
from holdfast.measures.outputs.lifelong import lifelong
from holdfast.measures.outputs.lifetimes import Block, maintenance, transfer
from holdfast.measures.outputs.task_matrix import matrix_metrics


def examined(task, value):
    return Block("test", task, torch.tensor([value]))


def learned(task, n=20):
    return Block("train", task, torch.linspace(0.1, 0.9, n))


LOG = [
    examined("a", 0.2), examined("b", 0.2),
    learned("a"), examined("a", 0.8), examined("b", 0.6),
    learned("b"), examined("a", 0.6), examined("b", 0.9),
    learned("c"), examined("a", 0.6), examined("b", 0.6),
]  # fmt: skip


def test_maintenance_counts_from_the_first_test_after_learning():
    found = maintenance(LOG)
    assert found == pytest.approx({"a": -0.2, "b": -0.3})
    ends = maintenance(LOG, reference="train")
    tail = float(torch.linspace(0.1, 0.9, 20)[-2:].mean())
    assert ends["a"] == pytest.approx((0.8 + 0.6 + 0.6) / 3 - tail)


def test_transfer_forward_and_backward():
    assert transfer(LOG) == pytest.approx({("a", "b"): 0.5})
    assert transfer(LOG, form="ratio") == pytest.approx({("a", "b"): 3.0})
    back = transfer(LOG, backward=True)
    want = {("b", "a"): -0.2 / 1.4, ("c", "a"): 0.0, ("c", "b"): -0.3 / 1.5}
    assert back == pytest.approx(want)


def test_names_do_not_matter():
    other = {"a": "x", "b": "a", "c": "b"}
    renamed = [b._replace(task=other[b.task]) for b in LOG]
    mine, theirs = lifelong(LOG).readings(), lifelong(renamed).readings()
    assert [r.value for r in mine] == pytest.approx([r.value for r in theirs])


def test_an_expert_against_itself_and_twice_as_fast():
    slow = torch.cat([torch.linspace(0.1, 0.8, 40), torch.full((40,), 0.8)]).double()
    fast = torch.cat([slow[:40:2], torch.full((60,), 0.8)]).double()
    assert efficiency(slow, slow) == pytest.approx(1.0)
    short = torch.linspace(0, 1, 9).double()  # too short to be smoothed
    assert efficiency(short[::2], short) == pytest.approx(2.0)
    assert efficiency(fast, slow) > 1.3
    assert efficiency(slow * 0.1, slow) == 0.0 and efficiency(slow.flip(0), slow) == 0.0
    log = [Block("train", "t", slow), examined("t", 0.8)]
    assert lifelong(log, experts={"t": slow}).relative["t"] == pytest.approx(1.0)
    assert lifelong(log, experts={"t": 2 * slow}).relative["t"] == pytest.approx(0.5)


def test_smoothing_reflects_its_ends():
    line = torch.randn(30).double()
    want = np.convolve(np.pad(line.numpy(), (2, 3), mode="reflect"), np.ones(6) / 6, "valid")
    assert np.allclose(smoothed(line).numpy(), want)
    assert torch.equal(smoothed(line[:10]), line[:10])


def test_recovery_is_a_median_slope():
    up = torch.tensor([0.1, 0.9]).double()
    blocks = [up] + [torch.cat([torch.zeros(k), up[1:]]).double() for k in (3, 2, 1)]
    assert recovery(blocks) == pytest.approx(-theilslopes([3, 2, 1]).slope)
    assert recovery(blocks[:2]) is None


def test_matrix_of_accuracies():
    a = torch.tensor([[0.9, 0.2, 0.1], [0.7, 0.8, 0.3], [0.5, 0.6, 0.9]])
    found = matrix_metrics(a, torch.tensor([0.1, 0.1, 0.1]))
    assert found["accuracy"] == pytest.approx(2.0 / 3)
    assert found["backward"] == pytest.approx(((0.5 - 0.9) + (0.6 - 0.8)) / 2)
    assert found["forgetting"] == pytest.approx((0.4 + 0.2) / 2)
    assert found["forward"] == pytest.approx(((0.2 - 0.1) + (0.3 - 0.1)) / 2)
    with pytest.raises(ShapeError):
        matrix_metrics(a[:2])


def test_bad_logs_are_refused():
    for bad in ([], [examined("a", -1.0)], [examined("a", float("nan"))],
                [Block("test", "a", torch.zeros(0))]):  # fmt: skip
        with pytest.raises(ShapeError):
            lifelong(bad)
    with pytest.raises(ConfigError):
        lifelong([examined("a", 0.5)])
    with pytest.raises(ConfigError):
        lifelong(LOG, form="difference")  # type: ignore[arg-type]
