"""Erase and check: what the filter finds in clean harmful prompts, no filling hides."""

from __future__ import annotations

import torch
from torch import Tensor

from holdfast.attacks.all_edits import AllEdits
from holdfast.certify.discrete.erase_and_check import EraseAndCheck
from holdfast.certify.discrete.erased import Erased
from holdfast.claims.harness import Claim, Trial
from holdfast.core.goal import Untargeted
from holdfast.run.search import search
from holdfast.threats.slots import Slots

WORDS, FREE, LENGTH, ERASE, ROWS = 6, 7, 5, 2, 40


class _Bigrams:
    """A filter that adds up how suspicious each pair of neighbours is."""

    def __init__(self, seed: int) -> None:
        g = torch.Generator().manual_seed(seed)
        self.table = torch.randn(WORDS + 2, WORDS + 2, generator=g, dtype=torch.float64)
        self.table[0], self.table[:, 0] = 0, 0

    def __call__(self, ids: Tensor) -> Tensor:
        score = self.table[ids[:, :-1], ids[:, 1:]].sum(1)
        return torch.stack([-score, score], 1)


class _Shallow(Erased):
    """Bug: one token fewer is erased than is certified."""

    def kept(self, length: int) -> Tensor:
        return Erased(self.base, self.mode, self.erase - 1).kept(length)


class _Padded(Erased):
    """Bug: tokens are not taken out but overwritten, so that neighbours are never joined."""

    def _best(self, ids: Tensor, every: Tensor) -> Tensor:
        full = torch.ones(len(every), ids.shape[1], dtype=torch.bool)
        full[:, : every.shape[1]] = every
        z = self.base(torch.where(full, ids[:, None], 0).flatten(0, 1))
        lead = self.lead(torch.as_tensor(z)).unflatten(0, (len(ids), len(every)))
        found = torch.as_tensor(z).unflatten(0, lead.shape)
        best: Tensor = found[torch.arange(len(ids)), lead.argmax(1)]
        return best


KINDS = {"erases-too-little": _Shallow, "overwrites": _Padded}


def _prompts(filter_: _Bigrams, seed: int, mode: str) -> Tensor:
    """Prompts that the filter finds harmful, with two free places where the mode allows them."""
    g = torch.Generator().manual_seed(seed)
    words = torch.randint(1, WORDS + 1, (600, LENGTH), generator=g)
    words = words[filter_(words).argmax(1) == 1][:ROWS]
    rows = []
    for word in words:
        at = torch.randperm(LENGTH + ERASE, generator=g)[:ERASE].tolist()
        if mode == "insertion":
            at = [min(at[0], LENGTH), min(at[0], LENGTH) + 1]
        if mode == "suffix":
            at = [LENGTH, LENGTH + 1]
        row = torch.full((LENGTH + ERASE,), FREE)
        row[[i for i in range(LENGTH + ERASE) if i not in at]] = word
        rows.append(row)
    return torch.stack(rows)


def trial(seed: int, mutant: str = "") -> Trial:
    """Exhaustive fillings of two places: proved rows broken, and the filter alone broken."""
    filter_ = _Bigrams(seed)
    wrong, proved, alone = 0, 0, 0
    for mode in ("suffix", "insertion", "infusion"):
        x = _prompts(filter_, seed, mode)
        goal, threat = (
            Untargeted(torch.ones(len(x)).long()),
            Slots(token=FREE, vocabulary=WORDS + 1),
        )
        model = KINDS.get(mutant, Erased)(filter_, mode, ERASE)
        found = EraseAndCheck()(model, x, goal, threat)
        broken = search(AllEdits(together=50), model, x, goal, threat).broken
        wrong += int((broken & found.proved).sum())
        proved += int(found.proved.sum())
        alone += int(search(AllEdits(together=50), filter_, x, goal, threat).broken.sum())
    return Trial(wrong, 0, wrong == 0 and proved == 3 * ROWS and alone > 0.3 * 3 * ROWS)


CLAIM = Claim(
    paper="erase-and-check",
    methods=("certifier:erase-and-check",),
    says="Of harmful prompts that the filter finds when clean, exhaustive search hides none from "
    "erase-and-check by suffix, insertion or infusion, though it hides over 30 % from the filter.",
    left="proved prompts that some filling of two places hides",
    right="none",
    trial=trial,
    seeds=(71, 72),
    mutants=("erases-too-little", "overwrites"),
    seconds=30,
)
