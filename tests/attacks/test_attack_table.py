"""The table of errors against closed forms and plain counting."""

from __future__ import annotations

import pytest
import torch

from holdfast.attacks.attack_table import attack_table
from holdfast.attacks.pgd import FGSM, PGD
from holdfast.core.errors import ConfigError
from holdfast.testing.worlds import two_class
from holdfast.threats.norms import LInf


def test_one_step_on_a_linear_model_is_its_closed_form():
    world = two_class(rows=64)
    sizes = [0.01, 0.03, 0.06]
    found = attack_table({"m": world.model}, world.x, world.goal.y, attacks={"fgsm": FGSM},
                         threats=[LInf(radius=r) for r in sizes])  # fmt: skip
    assert [r.name for r in found] == ["error.m.clean.top1"] + ["error.m.fgsm.top1"] * 3
    truth = [float((world.worst(r, float("inf")) >= 0).double().mean()) for r in (0.0, *sizes)]
    assert [r.value for r in found] == truth and len(set(truth)) > 2
    assert [r.threat for r in found[1:]] == [f"linf:{r}" for r in sizes]


def test_larger_k_is_counted_plainly_and_attacks_go_on_after_the_first_mistake(net):
    model, x, y = net
    threat = LInf(radius=0.3)
    found = {r.name: r for r in attack_table({"a": model, "b": lambda v: -model(v)}, x, y,
             attacks={"pgd": PGD(steps=10)}, threats=[threat], topk=(1, 3, 10))}  # fmt: skip
    assert not [n for n in found if n.endswith("top10")]  # all ten classes: no error is possible
    with torch.no_grad():
        best = (-model(x)).topk(3, 1).indices
    assert found["error.a.clean.top1"].value == 0 and found["error.b.clean.top1"].value == 1
    assert found["error.b.clean.top3"].value == float((best != y[:, None]).all(1).double().mean())
    assert found["error.a.pgd.top1"].value > 0.9
    assert 0.2 < found["error.a.pgd.top3"].value <= found["error.a.pgd.top1"].value


def test_silence_and_ties_are_errors():
    x, y = torch.rand(4, 2), torch.zeros(4, dtype=torch.int64)
    for model in (lambda v: torch.full((len(v), 3), torch.nan), lambda v: torch.zeros(len(v), 3)):
        found = attack_table({"m": model}, x, y, attacks={}, threats=[])
        assert found[0].value == 1
    with pytest.raises(ConfigError):
        attack_table({}, x, y, attacks={}, threats=[], topk=(0,))
