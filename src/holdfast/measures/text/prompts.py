"""The shortest prompt that makes a language model say one wanted token next."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import product

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from holdfast.core.dice import Dice
from holdfast.core.errors import ConfigError, Unsupported
from holdfast.core.goal import logits
from holdfast.core.kinds import Model
from holdfast.core.quiet import modules_of, quiet
from holdfast.ops.batch import Inputs, chunks


@dataclass(frozen=True, eq=False)
class Texts:
    """Token ids and which of them are text, padded behind.

    Args:
        ids: `(B, T)`.
        mask: `(B, T)` bool.
    """

    ids: Tensor
    mask: Tensor

    @classmethod
    def of(cls, x: Inputs) -> Texts:
        """Ids alone or as `{"ids", "mask"}`.

        Raises:
            Unsupported: for anything else.
        """
        ids = x.get("ids") if isinstance(x, Mapping) else x
        if not isinstance(ids, Tensor) or ids.dim() != 2 or ids.is_floating_point():
            raise Unsupported(f"prompts need token ids (B, T), got {type(ids).__name__}",
                              fix="Give ids, alone or as {'ids', 'mask'}.")  # fmt: skip
        mask = x.get("mask") if isinstance(x, Mapping) else None
        every = torch.ones_like(ids, dtype=torch.bool)
        return cls(ids, every if mask is None else mask.bool())

    def take(self, rows: Tensor) -> Texts:
        """Some of the texts, possibly more than once."""
        return Texts(self.ids[rows], self.mask[rows])

    def after(self, prompt: Tensor) -> dict[str, Tensor]:
        """The texts behind prompts `(B, k)`."""
        front = torch.ones_like(prompt, dtype=torch.bool)
        return {"ids": torch.cat([prompt, self.ids], 1), "mask": torch.cat([front, self.mask], 1)}


def following(lm: Model, texts: Texts, prompt: Tensor, *, chunk: int = 4096) -> Tensor:
    """`(B, V)` logits of the token behind each prompt and text. Cost: one forward per row."""
    parts = []
    for part in chunks(len(texts.ids), chunk):
        own = Texts(texts.ids[part], texts.mask[part])
        parts.append(_last(lm, own, prompt[part]))
    return torch.cat(parts) if parts else _last(lm, texts, prompt)


def _last(lm: Model, texts: Texts, prompt: Tensor) -> Tensor:
    whole = logits(lm(texts.after(prompt)))
    last = prompt.shape[1] + texts.mask.sum(1) - 1
    return whole[torch.arange(len(whole), device=whole.device), last]


def says(following: Tensor, wanted: Tensor) -> Tensor:
    """`(B,)` bool: the wanted token is strictly the most likely one."""
    own = following.gather(1, wanted[:, None])
    rest = following.scatter(1, wanted[:, None], -torch.inf).amax(1, keepdim=True)
    return (own > rest).squeeze(1)


def reachable(lm: Model, x: Inputs, *, tokens: int) -> Tensor:
    """`(B, V)`: length of the shortest prompt that makes each token the answer; -1 beyond `tokens`.

    Every prompt is tried: the truth, for small vocabularies.

    Raises:
        ConfigError: for more than a million prompts.

    Cost: V^0 + ... + V^tokens forward passes per row.
    """
    texts = Texts.of(x)
    with quiet(lm), torch.no_grad():
        none = texts.ids[:, :0]
        first = following(lm, texts, none)
        size = first.shape[1]
        if size**tokens > 1_000_000:
            raise ConfigError(f"reachable: {size}^{tokens} are too many", fix="Give fewer tokens.")
        length = torch.full_like(first, -1, dtype=torch.int64)
        wanted = torch.arange(size, device=length.device)
        for k in range(tokens + 1):
            for words in product(range(size), repeat=k):
                prompt = torch.tensor(words, dtype=torch.int64, device=none.device)
                found = following(lm, texts, prompt.expand(len(none), k)) if k else first
                top = found.topk(2, 1)
                clear = top.values[:, 0] > top.values[:, 1]
                hit = (top.indices[:, :1] == wanted) & clear[:, None] & (length < 0)
                length = torch.where(hit, k, length)
    return length


def greedy_token(
    lm: Model, texts: Texts, prompt: Tensor, wanted: Tensor, allowed: Tensor
) -> Tensor:
    """`(B,)`: the token that, put in front of the prompt, makes the wanted one most likely.

    One that makes it the answer comes before one that does not, so a single token is exact.

    Args:
        lm: a language model.
        texts: behind the prompts.
        prompt: `(B, k)`.
        wanted: `(B,)`.
        allowed: `(B, V)` bool, tokens that may be used.

    Cost: V forward passes per row.
    """
    rows, size = len(prompt), allowed.shape[1]
    each = torch.arange(rows, device=prompt.device).repeat_interleave(size)
    front = torch.arange(size, device=prompt.device).repeat(rows)[:, None]
    found = following(lm, texts.take(each), torch.cat([front, prompt[each]], 1))
    cost = _cost(found, wanted[each]).reshape(rows, size)
    return cost.masked_fill(~allowed, torch.inf).argmin(1)


def _cost(following: Tensor, wanted: Tensor) -> Tensor:
    """`(B,)`: cross-entropy; any prompt that works is less than any that does not."""
    loss = F.cross_entropy(following, wanted, reduction="none")
    return torch.where(says(following, wanted), -1 / (1 + loss), loss)


def embedding(lm: Model, size: int) -> nn.Embedding:
    """The table of the token embeddings.

    Raises:
        Unsupported: if there is no `nn.Embedding` with a row for each token.
    """
    parts = [m for module in modules_of(lm) for m in module.modules()]
    found = [m for m in parts if isinstance(m, nn.Embedding) and m.num_embeddings >= size]
    if not found:
        raise Unsupported(f"no nn.Embedding of {size} tokens inside", fix="Give a model with one.")
    return found[0]


def coordinate_gradient(
    lm: Model,
    texts: Texts,
    prompt: Tensor,
    wanted: Tensor,
    allowed: Tensor,
    *,
    topk: int,
    batch: int,
    dice: Dice,
) -> Tensor:
    """One step of greedy coordinate gradient: the best of many prompts with one token exchanged.

    Linearised, exchanging a token changes the loss by the gradient at its place times the
    difference of embeddings. Candidates are drawn among the `topk` most promising tokens of each
    place, judged by a forward pass, and the best is taken, better than before or not.

    Cost: one backward and `batch` forward passes per row.
    """
    table = embedding(lm, allowed.shape[1])
    rows, k = prompt.shape
    leaf: list[Tensor] = []

    def replaced(module: nn.Module, given: object, out: Tensor) -> Tensor:
        leaf.append(out.detach().requires_grad_())
        return leaf[-1]

    hook = table.register_forward_hook(replaced)
    try:
        with torch.enable_grad():
            found = _last(lm, texts, prompt)
            loss = F.cross_entropy(found, wanted, reduction="sum")
            (slope,) = torch.autograd.grad(loss, leaf[0])
    finally:
        hook.remove()
    gain = -slope[:, :k] @ table.weight.detach()[: allowed.shape[1]].T
    gain = gain.masked_fill(~allowed[:, None], -torch.inf)
    best = gain.topk(min(topk, int(allowed.sum(1).min())), -1).indices
    place = dice.integers(k, (batch,), device=prompt.device)
    which = dice.integers(best.shape[2], (batch,), device=prompt.device)
    every = torch.arange(rows, device=prompt.device)[:, None]
    token = best[every, place, which]
    trial = prompt[:, None].repeat(1, batch, 1).scatter(2, place[..., None], token[..., None])
    each = every[:, 0].repeat_interleave(batch)
    found = following(lm, texts.take(each), trial.reshape(-1, k))
    cost = _cost(found, wanted[each]).reshape(rows, batch)
    chosen: Tensor = trial[every[:, 0], cost.argmin(1)]
    return chosen
