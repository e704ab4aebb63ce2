"""Which neuron of a part is split: the best of a few whose planes lose most."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from holdfast.certify.linear.backward import evaluated
from holdfast.certify.properties.proofs import Proof
from holdfast.certify.search.signs import Signed
from holdfast.certify.search.splits import Splits


def divided(signed: Signed, parts: Splits, candidates: int, proof: Proof | None = None) -> Splits:
    """Both halves of each part, by the best of a few neurons whose signs are open."""
    bounds = signed.bounds(parts)
    seen: dict[int, Tensor] = {}
    signed.line(bounds, parts, parts.slopes, parts.betas, parts.mix, seen)
    scores = []
    for i, p in signed.relus.items():
        low, high = bounds.boxes[p]
        open_ = (low < 0) & (high > 0)
        a = seen[i][:, 0] if i in seen else torch.zeros_like(low)
        chord = bounds.planes[i].above_offset
        small = torch.minimum(high, -low) / 4
        loss = torch.where(a < 0, -a * chord, a * small)
        scores.append(loss.masked_fill(~open_, -1.0).flatten(1))
    score = torch.cat(scores, 1)
    value, index = score.topk(min(candidates, score.shape[1]), dim=1)
    index = torch.where(value < 0, index[:, :1], index)
    halves = [half_of(signed, parts, index[:, k]) for k in range(index.shape[1])]
    gains = []
    for pair in halves:
        found = []
        for half in pair:
            box = signed.bounds(half)
            line, d = signed.line(box, half, half.slopes, half.betas, half.mix)
            found.append((evaluated(box, line) - d)[:, 0])
        both = torch.stack(found).nan_to_num(-torch.inf)
        gains.append(both.clamp(max=0).amin(0) + 0.2 * both.clamp(max=0).amax(0))
    best = torch.stack(gains).argmax(0)
    chosen = index[torch.arange(len(parts)), best]
    left, right = half_of(signed, parts, chosen)
    if proof is not None:
        nodes = [proof.split_relu(int(n), *signed.place(int(k)))
                 for n, k in zip(parts.node, chosen, strict=True)]  # fmt: skip
        low, high = torch.tensor(nodes).unbind(1)
        left, right = replace(left, node=low), replace(right, node=high)
    return Splits.join([left, right])


def half_of(signed: Signed, parts: Splits, index: Tensor) -> tuple[Splits, Splits]:
    """Each part with the neuron `index` (counted over all ReLUs) not positive, not negative."""
    found = []
    rows = torch.arange(len(parts))
    for sign in (-1, 1):
        signs, start = {}, 0
        for p in signed.relus.values():
            flat = parts.signs[p].flatten(1).clone()
            own = (index >= start) & (index < start + flat.shape[1])
            flat[rows[own], index[own] - start] = sign
            start += flat.shape[1]
            signs[p] = flat.reshape(parts.signs[p].shape)
        found.append(replace(parts, signs=signs))
    return found[0], found[1]
