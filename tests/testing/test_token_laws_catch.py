"""The laws see bugs of threats to tokens and of attacks on them: one planted bug each."""

from __future__ import annotations

import pytest
import torch

from holdfast.attacks.all_edits import AllEdits
from holdfast.attacks.edited import Edited
from holdfast.attacks.gcg import GCG
from holdfast.attacks.substitution import WordSubstitution
from holdfast.core.dice import Dice
from holdfast.testing.laws import LawBroken, attack, threat
from holdfast.testing.worlds import Tokens
from holdfast.threats.slots import Slots
from holdfast.threats.tokens import Substitutions


class Generous(Substitutions):
    """Admits one edit more than it says."""

    def limits(self, x):
        return self.edits + 1.0, self.edits + 1.0


class Projects(Substitutions):
    """Keeps whatever is wanted."""

    def fitted(self, x, change, order):
        return change.clamp(0, self.vocabulary - 1)


class Forgets(Substitutions):
    """Takes every edit back."""

    def project(self, x, change):
        return self.none(x)


class Alike(Slots):
    """Draws the same for every row that stands at the same place of a chunk."""

    def drawn(self, x, dice):
        return super().drawn(x, dice.keyed(torch.arange(len(x))))


class Overspends(AllEdits):
    """Returns a change of every token."""

    def __call__(self, model, x, goal, threat, *, dice=None):
        return super().__call__(model, x, goal, threat, dice=dice) + 1


class Stubborn(WordSubstitution):
    """Goes on with rows that are broken."""

    def __call__(self, model, x, goal, threat, *, dice=None):
        change = super().__call__(model, x, goal, threat, dice=dice)
        for _ in range(3):
            threat.through(model, x, change)
        return change


class Talks(GCG):
    """All rows propose with the draws of the first."""

    def _proposals(self, x, threat, change, scores, draws):
        return super()._proposals(x, threat, change, scores, draws[:1].expand_as(draws))


@pytest.mark.parametrize(
    ("law", "bug"),
    [
        (threat.law_radius_zero_changes_nothing, Generous()),
        (threat.law_projected_is_admissible, Projects()),
        (threat.law_projecting_twice_is_projecting_once, Forgets()),
        (threat.law_samples_belong_to_rows, Alike()),
        (attack.law_changes_are_admissible, Overspends()),
        (attack.law_decided_rows_cost_nothing, Stubborn()),
        (attack.law_rows_do_not_talk, Talks()),
    ],
)
def test_the_law_catches_the_bug(law, bug):
    with pytest.raises(LawBroken):
        law(bug)


def test_broken_rows_leave_with_all_that_is_theirs():
    world = Tokens.make(rows=4)
    active = Edited(world.model, world.x, world.goal, Substitutions(vocabulary=12), Dice.of(4))
    active.own = {"mine": torch.arange(4)}
    active.see(active.best, torch.tensor([-1.0, 1.0, -1.0, 0.0]))
    assert active.own["mine"].tolist() == [0, 2] and active.index.tolist() == [0, 2]
