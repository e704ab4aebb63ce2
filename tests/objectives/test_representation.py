"""Editing against sensors: what is trained, what is frozen, and what the loss is."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn

from holdfast.claims.tiny_transformer import TinyTransformer
from holdfast.core.data import Batch, Batches
from holdfast.core.dice import Dice
from holdfast.core.fields import Later
from holdfast.layers.low_rank_change import with_low_rank
from holdfast.objectives.representation import RepresentationEditing, represented
from holdfast.run.loop import Training
from holdfast.run.training import TrainingRun

G = torch.Generator().manual_seed(0)
IDS = torch.randint(3, 24, (12, 6), generator=G)


def base() -> TinyTransformer:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return TinyTransformer(depth=2).eval()


def test_low_rank_changes_start_at_nothing_and_freeze_the_rest():
    model = base()
    copy = with_low_rank(model, ("blocks.0.qkv",), rank=2)
    assert torch.equal(copy(IDS), model(IDS))
    trained = [n for n, p in copy.named_parameters() if p.requires_grad]
    assert len(trained) == 2 and all("qkv" in n for n in trained)
    assert all(p.requires_grad for p in model.parameters())


def test_states_are_those_of_the_last_token_side_by_side():
    model, seen = base(), []
    hooks = [b.register_forward_hook(lambda m, a, o: seen.append(o)) for b in model.blocks]
    model(IDS)
    for hook in hooks:
        hook.remove()
    found, z = represented(model, IDS, ("blocks.0", "blocks.1"))
    assert torch.allclose(found, torch.cat([s[:, -1] for s in seen], 1))
    assert torch.equal(z, model(IDS))


def test_the_loss_is_the_sensors_and_only_the_change_is_trained():
    old = base().requires_grad_(False)
    model = with_low_rank(old, ("blocks.1.mlp.0",), rank=2)
    kinds = torch.arange(12) % 2
    loss = RepresentationEditing(
        prompts=Batches(x=IDS, y=kinds), reference=old, layers=("blocks.1",), target=1, epochs=2
    )
    run = TrainingRun(model, nn.ModuleDict(), Dice.of(12), 10)
    run.own([loss])
    keep = torch.arange(12) >= 8
    losses = loss(run, Batch(IDS, kinds, torch.arange(12), None, {"keep": keep}))
    sensor = run.memory(loss)["sensor"]
    h, _ = represented(model, IDS, ("blocks.1",))
    first = torch.relu(h @ sensor["0.weight"].T + sensor["0.bias"])
    z = first @ sensor["2.weight"].T + sensor["2.bias"]
    true = F.cross_entropy(z[:8], torch.ones(8, dtype=torch.int64), reduction="none")
    assert torch.allclose(losses[:8], true, atol=1e-5)
    assert torch.allclose(losses[8:], torch.zeros(4), atol=1e-6)
    before = {k: v.clone() for k, v in model.state_dict().items()}
    data = Batches(x=IDS, y=kinds, size=6)
    Training(objective=loss, epochs=1, optimizer=Later("torch:SGD", lr=0.1))(model, data)
    moved = {k for k, v in model.state_dict().items() if not torch.equal(v, before[k])}
    assert moved and all("parametrizations.weight.0" in k for k in moved)
