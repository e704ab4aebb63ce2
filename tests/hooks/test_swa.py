"""The mean of the last epochs against arithmetic and against torch."""

import pytest
import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel, update_bn

from holdfast.core.data import Batches
from holdfast.core.errors import ConfigError
from holdfast.core.fields import Later, settings
from holdfast.core.kinds import Hook, Run
from holdfast.hooks.swa import SWA
from holdfast.run.loop import Training


@settings
class Watch(Hook):
    """Keeps the weights of every epoch."""

    def epoch(self, run: Run) -> None:
        states = run.memory(self).setdefault("states", [])
        states.append({k: v.clone() for k, v in run.model.state_dict().items()})


def net() -> nn.Sequential:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return nn.Sequential(nn.Linear(4, 6), nn.BatchNorm1d(6), nn.ReLU(), nn.Linear(6, 2))


def data(size: int = 8) -> Batches:
    x = torch.rand(24, 4, generator=torch.Generator().manual_seed(1))
    return Batches(x=x, y=(x[:, 0] > 0.5).long(), size=size)


def ended(hook: SWA, epochs: int = 8) -> tuple[nn.Sequential, list[dict[str, torch.Tensor]]]:
    model, watch = net(), Watch()
    plan = Training(
        epochs=epochs, optimizer=Later("torch:SGD", lr=0.3), schedule="constant",
        hooks=(watch, hook),
    )  # fmt: skip
    return model, plan(model, data()).memory(watch)["states"]


def test_is_the_arithmetic_mean_of_the_last_epochs_and_torchs() -> None:
    model, states = ended(SWA(after=0.5))
    twin: AveragedModel | None = None
    for state in states[4:]:
        live = net()
        live.load_state_dict(state)
        twin = twin or AveragedModel(live, use_buffers=False)
        twin.update_parameters(live)
    for name, value in model.named_parameters():
        mean = torch.stack([state[name] for state in states[4:]]).mean(0)
        assert torch.allclose(value, mean, atol=1e-6)
        assert torch.allclose(value, twin.module.get_parameter(name), atol=1e-6)
    means = torch.stack([state["1.running_mean"] for state in states[4:]]).mean(0)
    assert torch.allclose(model[1].running_mean, means, atol=1e-6)


def test_fresh_statistics_are_torchs_on_one_batch() -> None:
    rows = data(size=24)
    model, states = ended(SWA(after=0.5, statistics="fresh", rows=rows))
    live = net()
    live.load_state_dict(states[-1] | dict(model.named_parameters()))
    update_bn([rows.x], live)
    assert torch.allclose(model[1].running_mean, live[1].running_mean, atol=1e-6)
    assert torch.allclose(model[1].running_var, live[1].running_var, atol=1e-6)
    with pytest.raises(ConfigError, match="rows"):
        ended(SWA(statistics="fresh"))


def test_nothing_counts_before_its_start_and_swap_is_a_choice() -> None:
    for hook in (SWA(after=1.0), SWA(swap=False)):
        model, states = ended(hook, epochs=3)
        assert all(torch.equal(v, states[-1][k]) for k, v in model.state_dict().items())
