"""A step where memory or the loss gives out, and models that are not plain."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from holdfast.attacks.pgd import PGD
from holdfast.core.data import Batches
from holdfast.core.errors import ConfigError, Unsupported
from holdfast.core.fields import Later
from holdfast.objectives.adversarial import AdversarialTraining
from holdfast.run.checkpoint import read_state
from holdfast.run.loop import Control, Training
from holdfast.run.move import starved
from holdfast.threats.norms import LInf

HARD = AdversarialTraining(threat=LInf(radius=0.05), attack=PGD(steps=2, climb="soft"))
PLAN = Training(objective=HARD, optimizer=Later("torch:SGD", lr=0.3, momentum=0.9), epochs=2)


def data(n: int = 30, size: int = 12) -> Batches:
    x = torch.rand(n, 6, generator=torch.Generator().manual_seed(7), dtype=torch.float64)
    return Batches(x=x, y=x[:, :3].argmax(1), size=size)


class Full(nn.Module):
    """A net that has no memory for more rows than so many."""

    def __init__(self, most: int = 10**9, error: type[Exception] = RuntimeError) -> None:
        super().__init__()
        with torch.random.fork_rng():
            torch.manual_seed(3)
            self.inner = nn.Sequential(nn.Linear(6, 12), nn.ReLU(), nn.Linear(12, 3)).double()
        self.most, self.error, self.seen = most, error, []  # type: ignore[var-annotated]

    def forward(self, x: Tensor) -> Tensor:
        self.seen.append(len(x))
        if len(x) > self.most:
            raise self.error("CUDA out of memory. Tried to allocate 2.00 GiB")
        made: Tensor = self.inner(x)
        return made


def test_where_memory_runs_out_halves_learn_what_the_whole_batch_does(tmp_path: Path) -> None:
    plain, small = Full(), Full(3)
    ours = PLAN(small, data(), control=Control(folder=tmp_path))
    theirs = PLAN(plain, data())
    for a, b in zip(small.parameters(), plain.parameters(), strict=True):
        assert torch.allclose(a, b, rtol=0, atol=1e-12)
    assert [r["loss"] for r in ours.history] == pytest.approx([r["loss"] for r in theirs.history])
    assert max(small.seen[20:]) <= 3, "what fitted once is kept"
    assert read_state(tmp_path / "training.safetensors")["memories"]["parts"] == {"parts": 4}


def test_one_row_that_does_not_fit_and_other_errors_are_said() -> None:
    with pytest.raises(RuntimeError, match="out of memory"):
        PLAN(Full(0), data())

    class Broken(Full):
        def forward(self, x: Tensor) -> Tensor:
            raise RuntimeError("mat1 and mat2 shapes cannot be multiplied")

    broken = Broken()
    with pytest.raises(RuntimeError, match="mat1"):
        PLAN(broken, data())
    assert starved(torch.OutOfMemoryError("x")) and starved(MemoryError())
    assert not starved(RuntimeError("boom"))


@pytest.mark.parametrize("folder", [True, False])
def test_a_loss_that_is_not_finite_stops_and_what_is_kept_is_from_before(
    folder: bool, tmp_path: Path
) -> None:
    class Bad(Full):
        def forward(self, x: Tensor) -> Tensor:
            made = super().forward(x)
            moved = not torch.equal(self.inner[2].bias, self.start)
            return made * float("nan") if moved else made

    model = Bad()
    model.start = model.inner[2].bias.detach().clone()  # type: ignore[assignment]
    rows = data(12)  # a step an epoch: the first is sound, the second is not
    with pytest.raises(Unsupported, match="loss is nan in step 1") as caught:
        PLAN(model, rows, control=Control(folder=tmp_path if folder else None))
    assert "smaller learning rate" in str(caught.value)
    assert all(p.isfinite().all() and p.grad is None for p in model.parameters())
    if folder:
        assert "training.safetensors" in caught.value.says
        kept = read_state(tmp_path / "training.safetensors")
        assert kept["step"] == 1
        assert all(v.isfinite().all() for v in kept["model"].values())


def test_frozen_weights_stay_and_dropout_and_statistics_are_not_moved_by_the_attack() -> None:
    with torch.random.fork_rng():
        torch.manual_seed(3)
        net = nn.Sequential(
            nn.Linear(6, 12), nn.BatchNorm1d(12), nn.ReLU(), nn.Dropout(0.3), nn.Linear(12, 3)
        ).double()
    net[0].requires_grad_(False)
    frozen = net[0].weight.clone()
    PLAN(net, data(25, 12))
    assert torch.equal(net[0].weight, frozen) and not net[0].weight.requires_grad
    # Three steps an epoch, the last with one row: its statistics are the running ones.
    assert int(net[1].num_batches_tracked) == 2 * 2
    assert all(v.isfinite().all() for v in net.state_dict().values())


def test_data_shorter_than_a_batch_is_one_step_an_epoch() -> None:
    run = PLAN(Full(), data(5, 128))
    assert run.step == 2


def images(n: int = 24) -> Batches:
    x = torch.rand(n, 3, 8, 8, generator=torch.Generator().manual_seed(7), dtype=torch.float64)
    return Batches(x=x, y=torch.arange(n) % 3, size=8)


def picture() -> nn.Sequential:
    with torch.random.fork_rng():
        torch.manual_seed(3)
        return nn.Sequential(
            nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(144, 3)
        ).double()


def test_channels_last_is_a_form_and_not_another_training() -> None:
    seen = []

    class Look(nn.Conv2d):
        def forward(self, x: Tensor) -> Tensor:
            seen.append(
                x.is_contiguous(memory_format=torch.channels_last)
                and self.weight.is_contiguous(memory_format=torch.channels_last)
            )
            return super().forward(x)

    plain, other = picture(), picture()
    other[0].__class__ = Look
    PLAN(plain, images())
    replace(PLAN, channels_last=True)(other, images())
    assert seen and all(seen)
    for a, b in zip(plain.state_dict().values(), other.state_dict().values(), strict=True):
        assert torch.allclose(a, b, rtol=0, atol=1e-10)
    assert all(p.is_contiguous() for p in other.parameters())


def test_a_compiled_model_learns_the_same_under_its_own_names() -> None:
    plain, other = Full(), Full()
    calls = []
    PLAN(plain, data())
    before = dict(other.state_dict())
    other.register_forward_hook(lambda *a: calls.append(other._compiled_call_impl is not None))
    replace(PLAN, compile="eager", epochs=2)(other.train(), data())
    assert (
        any(calls)
        and other._compiled_call_impl is None
        and list(other.state_dict()) == list(before)
    )
    for a, b in zip(plain.state_dict().values(), other.state_dict().values(), strict=True):
        assert torch.allclose(a, b, rtol=0, atol=1e-12)
    with pytest.raises(ConfigError, match="no backend 'none'"):
        replace(PLAN, compile="none")(Full(), data())
