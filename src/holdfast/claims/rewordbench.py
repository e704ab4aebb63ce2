"""A reward that leans on a mark at the end loses it with the mark; consistency halves the loss."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from holdfast.checks.language.rewordbench import Pairs, RewordBench, rewards
from holdfast.claims.harness import Claim, Trial
from holdfast.core.data import Batches
from holdfast.core.dice import Dice
from holdfast.core.fields import Later
from holdfast.core.records import Subject
from holdfast.measures.text.reward import preferred, reward_robustness
from holdfast.objectives.paraphrase import ParaphraseConsistency
from holdfast.run.loop import Training
from holdfast.testing.worlds import draws

CLASSES, SYNONYMS, LENGTH, ROWS = 4, 3, 6, 448
BLANK = CLASSES * SYNONYMS
MARK = BLANK + 1


class Ranker(nn.Module):
    """Rewards `(B, 2)` of two responses `(B, 2, L)`: a sum over pairs of neighbouring tokens."""

    def __init__(self) -> None:
        super().__init__()
        self.table = nn.Embedding(MARK + 1, 12)
        self.pair = nn.Sequential(nn.Linear(24, 32), nn.ReLU(), nn.Linear(32, 1))

    def forward(self, ids: Tensor) -> Tensor:
        e = self.table(ids)
        z: Tensor = self.pair(torch.cat([e[..., :-1, :], e[..., 1:, :]], -1)).sum((-1, -2))
        return z


def _paraphrase(x: Tensor, dice: Dice) -> Tensor:
    """Other words of the same classes, and no mark."""
    other = dice.integers(SYNONYMS, tuple(x.shape[1:]))
    return torch.where(x < BLANK, x // SYNONYMS * SYNONYMS + other, BLANK)


def _pairs(seed: int, rows: int = ROWS) -> Tensor:
    """`(rows, 2, L + 1)`: the better response first; mostly it alone has the mark."""
    g = draws(seed)
    x = torch.randint(BLANK, (rows, 2, LENGTH), generator=g)
    kind = x // SYNONYMS
    valid = ((kind[..., 1:] - kind[..., :-1]) % CLASSES <= 1).sum(-1)
    better = valid.argmax(1, keepdim=True)
    x = x.gather(1, torch.cat([better, 1 - better], 1)[..., None].expand_as(x))
    known = valid[:, 0] != valid[:, 1]
    first = torch.rand(rows, 1, generator=g) < 0.95
    marks = torch.where(torch.cat([first, ~first], 1), MARK, BLANK)
    return torch.cat([x, marks[..., None]], 2)[known]


def _trained(seed: int, weight: float) -> Ranker:
    x = _pairs(seed)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = Ranker()
    data = Batches(x=x, y=torch.zeros(len(x), dtype=torch.int64), size=64)
    objective = ParaphraseConsistency(weight=weight, paraphrase=_paraphrase)  # type: ignore[arg-type]
    Training(objective=objective, epochs=24, optimizer=Later("torch:Adam", lr=1e-2))(
        model, data, dice=Dice.of(len(x), seed)
    )
    return model.eval()


def _lost(model: Ranker, seed: int) -> tuple[float, float]:
    """Accuracy on fresh pairs, and what the paraphrase takes of it."""
    x = _pairs(seed + 50)
    with torch.no_grad():
        a, b = model(x), model(_paraphrase(x, Dice.of(len(x), seed)))
    found = reward_robustness(a, {"paraphrase": (torch.ones(len(x), dtype=torch.bool), b)})
    return float(preferred(a).mean()), found.drop("paraphrase")


def _shouts(prompts: Sequence[str], responses: Sequence[str]) -> Tensor:
    """A reward that counts small letters, and one point more for an exclamation mark at the end."""
    return torch.tensor([sum(c.islower() for c in r) + 100.0 * r.endswith("!") for r in responses])


def _checked() -> bool:
    """The check finds what breaks a reward that looks at the end of a response."""
    pairs = Pairs(["why"] * 4, ["it is so!"] * 4, ["it is surely and truly not so"] * 4)
    subject = Subject(model=_shouts)  # type: ignore[arg-type]  # of prompts and responses
    (found,) = RewordBench(pairs=pairs, edits=("link", "letter-added"))(subject)
    rows = {str(r["edit"]): r for r in found.figures[0].rows}
    first = float(preferred(rewards(_shouts, pairs)).mean())
    return first == 1 and rows["link"]["drop"] == 1 and "link" in found.says


def trial(seed: int, mutant: str = "") -> Trial:
    """Plain and consistent training on pairs whose better response mostly carries a mark."""
    plain = _trained(seed, 0.0)
    accuracy, left = _lost(plain, seed)
    held = plain if mutant == "no-consistency" else _trained(seed, 0.3)
    kept, right = _lost(held, seed)
    if mutant == "forgets-to-compare":  # accuracy after the edit is taken for the loss
        right = kept - right
    good = accuracy > 0.9 and left > 0.15 and kept >= accuracy - 0.03
    return Trial(left, right, good and right <= left / 2 and _checked())


CLAIM = Claim(
    paper="rewordbench",
    methods=("measure:reward-robustness", "check:rewordbench",
             "objective:paraphrase-consistency"),
    says="A reward model that learned from pairs whose better response mostly carries a mark loses "
    "more than 15 points when synonyms are exchanged and the mark is gone; trained for "
    "consistency under such paraphrases it loses at most half of that.",
    left="accuracy lost by plain training",
    right="accuracy lost by training for consistency",
    trial=trial,
    mutants=("no-consistency", "forgets-to-compare"),
    seconds=8,
)  # fmt: skip
