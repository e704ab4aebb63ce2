"""Erase and check against enumeration with a filter that is a rule about neighbouring tokens."""

from itertools import combinations, product
from math import comb

import pytest
import torch

from holdfast.attacks.all_edits import AllEdits
from holdfast.certify.discrete.erase_and_check import EraseAndCheck
from holdfast.certify.discrete.erased import Erased, erased, lengths
from holdfast.core.errors import ConfigError, Unsupported
from holdfast.core.goal import Targeted, Untargeted
from holdfast.run.search import search
from holdfast.threats.norms import LInf
from holdfast.threats.slots import Slots

FREE = 5  # marks a free position; ids 1 to 4 are words, 0 is padding


def rule(ids):
    """Harmful iff 1 is followed by 2 and that by no 3; says so with logits of plus or minus 1."""
    after = torch.cat([ids[:, 1:], torch.zeros_like(ids[:, :1])], 1)
    third = torch.cat([after[:, 1:], torch.zeros_like(ids[:, :1])], 1)
    bad = ((ids == 1) & (after == 2) & (third != 3)).any(1).double()
    return torch.stack([1 - 2 * bad, 2 * bad - 1], 1)


def prompts(n):
    every = torch.tensor(list(product(range(1, 5), repeat=n)))
    return every[rule(every).argmax(1) == 1]


def placed(prompt, at, length):
    """A prompt with free positions at the given places of a row of that length."""
    row = torch.full((length,), FREE)
    row[[i for i in range(length) if i not in at]] = prompt
    return row


MODES = {
    "suffix": (Erased(rule, "suffix", 2), [(4, 5)]),
    "infusion": (Erased(rule, "infusion", 2), list(combinations(range(6), 2))),
    "insertion": (Erased(rule, "insertion", 2), [(i, i + 1) for i in range(5)]),
    "two blocks": (Erased(rule, "insertion", 1, blocks=2), list(combinations(range(6), 2))),
}


@pytest.mark.parametrize("mode", MODES)
def test_no_filling_of_any_harmful_prompt_gets_through(mode):
    """Every filling, words and padding, of the free places of every fifth harmful prompt."""
    model, places = MODES[mode]
    harmful = prompts(4)[::5]
    x = torch.stack([placed(p, at, 6) for p in harmful for at in places])
    x = x[torch.arange(0, len(x), max(1, len(x) // 60))]
    goal, threat = Untargeted(torch.ones(len(x)).long()), Slots(token=FREE, vocabulary=5)
    found = EraseAndCheck()(model, x, goal, threat)
    assert bool(found.proved.all())
    for filling in product(range(5), repeat=2):
        rows = x.clone()
        rows[x == FREE] = torch.tensor(filling).repeat(len(x))
        assert bool((model(rows).argmax(1) == 1).all())
        assert bool((goal(model(rows)) <= found.margin).all())
    broken = search(AllEdits(), rule, x, goal, threat).broken
    assert broken.double().mean() > 0.25  # the filter alone is misled


def test_attacks_find_what_the_mode_does_not_cover():
    """Free places that the mode could not have made are not proved, and rightly so."""
    x = torch.stack([placed(torch.tensor([4, 4, 1, 2]), at, 6) for at in ((3, 5), (0, 1), (4, 5))])
    goal, threat = Untargeted(torch.ones(3).long()), Slots(token=FREE, vocabulary=5)
    wide = torch.stack([placed(torch.tensor([4, 1, 2]), (3, 4, 5), 6)] * 3)
    for rows, model, want in (
        (x, Erased(rule, "suffix", 2), [False, False, True]),
        (x, Erased(rule, "insertion", 2), [False, True, True]),
        (x, Erased(rule, "insertion", 1, blocks=2), [True, True, True]),
        (x, Erased(rule, "infusion", 1), [False] * 3),
        (wide, Erased(rule, "suffix", 2), [False] * 3),
        (wide, Erased(rule, "insertion", 2, blocks=2), [True] * 3),
    ):
        found = EraseAndCheck()(model, rows, goal, threat)
        assert found.proved.tolist() == want
        broken = search(AllEdits(sites=3), model, rows, goal, threat).broken
        assert not bool((broken & found.proved).any())
    assert bool(search(AllEdits(), Erased(rule, "suffix", 1), x[:1], goal.take(slice(0, 1)),
                       threat).broken)  # fmt: skip


def test_harmless_and_empty_prompts_and_other_goals_are_not_proved():
    threat = Slots(token=FREE, vocabulary=5)
    x = torch.stack([placed(torch.tensor([4, 4, 1, 2]), (4, 5), 6)] * 2)
    model = Erased(rule, "suffix", 2)
    ask = EraseAndCheck()
    assert not bool(ask(model, x, Untargeted(torch.zeros(2).long()), threat).proved.any())
    assert not bool(ask(model, x, Targeted(torch.ones(2).long()), threat).proved.any())
    assert bool(ask(model, x, Targeted(torch.zeros(2).long()), threat).proved.all())
    empty = torch.full((1, 6), FREE)
    one = Untargeted(torch.ones(1).long())
    everything = Erased(lambda ids: rule(ids).flip(1), "infusion", 6)  # nothing is harmful
    assert not bool(ask(everything, empty, one, threat).proved.any())
    padded = torch.tensor([[FREE, FREE, 0, 0, 0, 0]])
    assert not bool(ask(everything, padded, one, threat).proved.any())
    broken = Erased(lambda ids: rule(ids) * torch.nan, "suffix", 2)
    assert not bool(ask(broken, x, Untargeted(torch.ones(2).long()), threat).proved.any())
    for bad in (
        (rule, x, one, threat), (Erased(rule, share=0.5), x, one, threat),
        (model, x, one, LInf(radius=0.1)),
    ):  # fmt: skip
        with pytest.raises(Unsupported):
            ask(*bad)
    for bad in ({"erase": -1}, {"blocks": 0}, {"share": 2.0}, {"mode": "prefix"}):
        with pytest.raises(ConfigError):
            Erased(rule, **bad)


def test_versions_are_those_that_were_promised_and_as_many():
    seen = []

    def spy(ids):
        seen.extend(tuple(row[row > 0].tolist()) for row in ids)
        return rule(ids)

    for mode, erase, want in (
        ("suffix", 2, 3),
        ("insertion", 2, 1 + 8 + 7),
        ("infusion", 2, 1 + comb(8, 1) + comb(8, 2)),
        ("infusion", 20, 2**8 - 1),
    ):
        seen.clear()
        model = Erased(spy, mode, erase)
        model(torch.tensor([[1, 2, 3, 4, 4, 3, 2, 1, 0, 0]]))
        assert len(seen) == model.checks(8) == want
        assert seen[0] == (1, 2, 3, 4, 4, 3, 2, 1)
    seen.clear()
    Erased(spy, "suffix", 2)(torch.tensor([[1, 2, 3, 4, 0]]))
    assert seen == [(1, 2, 3, 4), (1, 2, 3), (1, 2)]
    seen.clear()
    Erased(spy, "infusion", 2, share=0.2)(torch.tensor([[1, 2, 3, 4, 4, 3, 2, 1]]))
    assert len(seen) == 1 + round(0.2 * 36)
    assert seen[0] == (1, 2, 3, 4, 4, 3, 2, 1)
    with pytest.raises(Unsupported, match="versions"):
        Erased(rule, "infusion", 10, most=100)(torch.ones(1, 12).long())


def test_the_rate_of_false_alarms_grows_with_what_is_erased():
    every = torch.tensor(list(product(range(1, 5), repeat=5)))
    safe = every[rule(every).argmax(1) == 0][::8]
    rates = [
        float((Erased(rule, "infusion", d)(safe).argmax(1) == 1).double().mean()) for d in range(4)
    ]
    assert rates[0] == 0
    assert rates == sorted(rates)
    assert rates[3] > rates[1] > 0


def test_erasing_moves_what_stays_together():
    ids = torch.tensor([[1, 2, 3, 4, 0], [4, 3, 0, 0, 0]])
    kept = torch.tensor([[1, 0, 1, 1, 1], [0, 1, 1, 1, 1]]).bool()
    assert erased(ids, kept, 0).tolist() == [[1, 3, 4, 0, 0], [3, 0, 0, 0, 0]]
    assert lengths(ids, 0).tolist() == [4, 2]
