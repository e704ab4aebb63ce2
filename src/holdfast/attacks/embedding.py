"""What a gradient says about tokens: read where the model looks its ids up."""

from __future__ import annotations

from contextlib import ExitStack
from typing import Any

import torch
from torch import Tensor, nn

from holdfast.attacks.climb import CLIMBS
from holdfast.core.errors import Unsupported
from holdfast.core.goal import Goal
from holdfast.core.kinds import Model
from holdfast.core.quiet import modules_of
from holdfast.run.search import judged
from holdfast.threats.edits import Edits


def token_scores(
    model: Model, x: Tensor, goal: Goal, threat: Edits, change: Tensor, climb: str = "soft"
) -> tuple[Tensor, Tensor, Tensor]:
    """One forward and one backward pass: how much each choice would raise what is climbed.

    The gradient with respect to one-hot tokens is the gradient at the embedding times the
    embedding matrix, so a model needs no special form: it takes gradients if it looks its ids
    up in a `torch.nn.Embedding`. What that hands on is replaced by a copy for the time of the
    call; weights get no gradient. Where several embeddings see the ids (`Several` models), their
    gradients add up.

    Args:
        model: ids `(B, L)` to outputs.
        x: `(B, L)` ids.
        goal: of these rows.
        threat: which places and choices there are.
        change: `(B, P)` ids at the places.
        climb: what is climbed.

    Returns:
        Margins `(B,)`, what is climbed `(B,)`, and its first-order value at each choice
        `(B, P, C)`, up to a constant per place.

    Raises:
        Unsupported: if no embedding of the model sees these ids, or no gradient reaches it.
    """
    ids = threat.apply(x, change)
    seen: list[tuple[nn.Embedding, Tensor]] = []

    def replaced(module: nn.Embedding, given: tuple[Any, ...], out: Tensor) -> Tensor | None:
        if not given or not _same(given[0], ids):
            return None
        if seen and module.num_embeddings < seen[0][0].num_embeddings:
            return None  # no table of tokens: kinds of tokens look the same where all are 0
        seen.append((module, out.detach().requires_grad_()))
        return seen[-1][1]

    with ExitStack() as stack, torch.enable_grad():
        for module in modules_of(model):
            for part in module.modules():
                if isinstance(part, nn.Embedding):
                    handle = part.register_forward_hook(replaced)
                    stack.callback(handle.remove)
        outputs = threat.through(model, x, change)
        height = CLIMBS[climb](goal, outputs)
        found: tuple[Tensor | None, ...] = ()
        if seen and height.requires_grad:
            leaves = [leaf for _, leaf in seen]
            found = torch.autograd.grad(height.sum(), leaves, allow_unused=True)
    scores = [
        _at_choices(module, gradient, x, threat)
        for (module, _), gradient in zip(seen, found, strict=False) if gradient is not None
    ]  # fmt: skip
    if not scores:
        raise Unsupported(
            f"no gradient reaches the tokens under {threat.spec}",
            fix="Use attack:word-substitution, or a model that looks ids up in nn.Embedding.",
        )
    margin, _ = judged(goal, outputs)
    return margin, height.detach(), torch.stack(scores).sum(0)


def _same(given: object, ids: Tensor) -> bool:
    """Whether an embedding was given the tokens, and not their positions."""
    return isinstance(given, Tensor) and given.shape == ids.shape and bool((given == ids).all())


def _at_choices(module: nn.Embedding, gradient: Tensor, x: Tensor, threat: Edits) -> Tensor:
    """`(B, P, C)`: the gradient with respect to one-hot tokens, at the choices of each place."""
    wide = torch.promote_types(gradient.dtype, torch.float32)  # half precision overflows here
    where = threat.where(x)[..., None].expand(-1, -1, gradient.shape[2])
    weight = module.weight.detach().to(wide)
    one_hot = gradient.to(wide).gather(1, where) @ weight.T
    return one_hot.nan_to_num(0.0, 0.0, 0.0).gather(2, threat.choices(x))
