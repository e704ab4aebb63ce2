"""Modules of Hugging Face learn by the same objectives as any other module: nothing is wrapped.

Networks are drawn from configurations in memory; nothing is fetched.
"""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from importlib.util import find_spec
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from holdfast.attacks.pgd import PGD
from holdfast.claims.tiny_transformer import (
    HARMFUL,
    HARMLESS,
    SLOT,
    TOKENS,
    answered,
    prompts,
    refused,
    told,
)
from holdfast.core.data import Batches
from holdfast.core.dice import Dice
from holdfast.core.fields import Later
from holdfast.core.goal import logits
from holdfast.core.kinds import Objective
from holdfast.objectives.adversarial import AdversarialTraining
from holdfast.objectives.continuous import ContinuousIPO, ContinuousUnlikelihood
from holdfast.objectives.image_text import AdversarialContrastive, FareLoss
from holdfast.objectives.representation import RepresentationEditing, represented
from holdfast.objectives.roast import EmbeddingConsistency
from holdfast.objectives.unlearning import AdversarialUnlearning
from holdfast.run.loop import Training
from holdfast.threats.bind import bind
from holdfast.threats.embedding import Embedding
from holdfast.threats.latent import Latent
from holdfast.threats.norms import LInf

pytestmark = pytest.mark.skipif(
    find_spec("transformers") is None, reason="the extra hf is not installed"
)
WIDTH, INNER = 32, PGD(steps=3, travel=2.5, start="none", climb="soft")
LAYERS = {"gpt2": "transformer.h.0", "llama": "model.layers.0"}
FAMILIES = pytest.mark.parametrize("family", LAYERS)


def language_model(family: str) -> Any:
    """An untrained causal language model with two layers."""
    import transformers as hf

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        if family == "gpt2":
            small = {"n_embd": WIDTH, "n_layer": 2, "n_head": 2, "n_positions": 12}
            return hf.GPT2LMHeadModel(hf.GPT2Config(vocab_size=TOKENS, **small))
        more = {"num_hidden_layers": 2, "num_attention_heads": 2, "max_position_embeddings": 12}
        more |= {"hidden_size": WIDTH, "intermediate_size": 64, "num_key_value_heads": 1}
        return hf.LlamaForCausalLM(hf.LlamaConfig(vocab_size=TOKENS, **more))


def rows() -> Batches:
    """Eight harmful prompts that shall be refused, and eight harmless ones with answers."""
    g = torch.Generator().manual_seed(0)
    bad, good = prompts(g, 8, HARMFUL), prompts(g, 8, HARMLESS)
    (no, y_no), (yes, y_yes) = answered(bad, refused(bad)), answered(good, told(good))
    ids, away = answered(bad, told(bad))
    more = {
        "away_ids": torch.cat([ids, yes]),
        "away": torch.cat([away, torch.full_like(y_yes, -100)]),
        "forget": torch.arange(16) < 8,
        "keep": torch.arange(16) >= 8,
    }
    return Batches(x=torch.cat([no, yes]), y=torch.cat([y_no, y_yes]), more=more, size=16)


def learned(
    model: nn.Module, objective: Objective, data: Batches, rate: float = 3e-3
) -> list[float]:
    """The loss of every epoch, which is one step."""
    plan = Training(
        objective=objective, optimizer=Later("torch:AdamW", lr=rate, weight_decay=0.0), epochs=12,
        schedule="constant",
    )  # fmt: skip
    before = {k: v.clone() for k, v in model.state_dict().items()}
    run = plan(model, data, dice=Dice.of(len(data), 0))
    assert any(not torch.equal(v, before[k]) for k, v in model.state_dict().items())
    return [row["loss"] for row in run.history]


def kinds() -> Batches:
    data = rows()
    return Batches(x=data.x, y=(torch.arange(16) < 8).long(), size=16)


OBJECTIVES: dict[str, Callable[[Any, str], Objective]] = {
    "latent adversarial training": lambda model, layer: AdversarialTraining(
        threat=Latent(layer=layer, radius=0.2).of(model), attack=INNER
    ),
    "embeddings under attack": lambda model, layer: AdversarialTraining(
        threat=Embedding(radius=0.1).of(model), attack=INNER
    ),
    "c-advul": lambda model, layer: ContinuousUnlikelihood(attack=INNER),
    "c-advipo": lambda model, layer: ContinuousIPO(attack=INNER, reference=deepcopy(model)),
    "roast": lambda model, layer: EmbeddingConsistency(),
    "adv-unlearn": lambda model, layer: AdversarialUnlearning(
        attack=INNER, reference=deepcopy(model), warmup=0.0
    ),
    # A sensor that is made anew each epoch makes a new loss; one that stays can be fooled.
    "are": lambda model, layer: RepresentationEditing(
        prompts=kinds(), reference=deepcopy(model), layers=(layer,), refresh=0, target=0
    ),
}


@FAMILIES
@pytest.mark.parametrize("name", OBJECTIVES)
def test_a_causal_language_model_learns_by_every_objective(family, name):
    model = language_model(family)
    losses = learned(model, OBJECTIVES[name](model, LAYERS[family]), rows())
    assert all(torch.isfinite(torch.tensor(losses))) and losses[-1] < 0.9 * losses[0], losses
    assert not model._forward_hooks and not model.training
    assert not any(m._forward_hooks for m in model.modules()), "a hook was left behind"


@FAMILIES
def test_changes_reach_the_hidden_states_and_only_these(family):
    model, x = language_model(family).eval(), rows().x
    layer = dict(model.named_modules())[LAYERS[family]]
    threat = bind(Latent(layer=LAYERS[family], radius=0.3), model)
    change = threat.sample(x, Dice.of(16, 0))
    assert change.shape == (16, x.shape[1], WIDTH)
    seen: list[Tensor] = []
    watch = layer.register_forward_hook(lambda m, a, out: seen.append(logits(out).detach()))
    with torch.no_grad():
        plain, moved = logits(model(x)), logits(threat.through(model, x, change))
        watch.remove()
        assert torch.equal(plain, logits(model(x)))
    states, _ = represented(model, x, (LAYERS[family],))
    assert torch.allclose(states, seen[0][:, -1], atol=1e-6)
    assert not torch.allclose(plain, moved, atol=1e-3)


@FAMILIES
def test_ids_are_looked_up_where_the_change_is_added(family):
    """The change of one token's vector is that of a table in which the vector stands changed."""
    model = language_model(family).eval()
    x = torch.arange(4, 12)[None]
    threat = bind(Embedding(radius=0.2, relative=False), model)
    table = model.get_input_embeddings()
    change = threat.sample(x, Dice.of(1, 0))
    with torch.no_grad():
        moved = logits(threat.through(model, x, change))
        vectors = table(x) + 0.2 * change
        assert torch.allclose(moved, model(inputs_embeds=vectors).logits, atol=1e-6)
    assert SLOT not in x


def test_towers_of_images_and_texts_learn_by_both_ways_of_double_visual_defence():
    import transformers as hf

    small = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 1}
    small |= {"num_attention_heads": 2, "projection_dim": 8}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        sight = hf.CLIPVisionConfig(**small, image_size=8, patch_size=4)
        images = hf.CLIPVisionModelWithProjection(sight)
        reads = hf.CLIPTextConfig(
            **small, vocab_size=12, max_position_embeddings=4, bos_token_id=0, eos_token_id=11
        )
        texts = hf.CLIPTextModelWithProjection(reads)
    g = torch.Generator().manual_seed(2)
    words = torch.cat([torch.randint(10, (12, 3), generator=g), torch.full((12, 1), 11)], 1)
    data = Batches(
        x=torch.rand(12, 3, 8, 8, generator=g), y=torch.arange(12), more={"text": words}, size=12
    )
    losses = learned(images, AdversarialContrastive(text=texts), data)
    assert losses[-1] < 0.9 * losses[0], losses
    fixed = deepcopy(images).eval()
    far = FareLoss(reference=fixed, threat=LInf(radius=0.3))
    held = learned(images, far, data, rate=3e-4)
    assert held[-1] < 0.9 * held[0], held
