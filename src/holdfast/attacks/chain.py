"""Attacks in a row, each on the rows that still stand: AutoAttack and its relatives."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from holdfast.attacks.active import Active
from holdfast.attacks.apgd import APGD
from holdfast.attacks.fab import FAB
from holdfast.attacks.narrowing import Narrowing
from holdfast.attacks.square import Square
from holdfast.core.catalog import register, resolve
from holdfast.core.dice import Dice
from holdfast.core.errors import ConfigError, Unsupported
from holdfast.core.fields import Part, settings
from holdfast.core.goal import Goal
from holdfast.core.kinds import Access, Attack, Model, Threat
from holdfast.run.passes import Tap, broke, enter
from holdfast.run.search import attack_name

NEED = (Access.DECISION, Access.SCORE, Access.GRADIENT)


@register("attack", cites="autoattack", says="Attacks in a row, each on the rows that still stand.")
@settings
class Chain(Attack):
    """Attacks one after the other, as one: each gets the rows that all before it left standing.

    A row is broken iff one of the attacks breaks it. Properties: the order changes what is spent,
    not which rows fall; each attack has a stream of draws of its own, named by its place, so that
    what it finds on a row does not depend on what ran before; each sees no more of the model than
    it would alone; the ledger holds a stage for each.

    Args:
        attacks: the attacks or their names, in order.

    Cost: one forward per row, and for each attack its own cost and one forward on the rows that
    it is given.

    Raises:
        ConfigError: without any attack.
        Unsupported: if every one of them refuses. One that refuses alone is left out, and the
            ledger holds a stage of that name that says so.
    """

    attacks: tuple[Part[Attack], ...] = ("attack:apgd", "attack:square")

    def __post_init__(self) -> None:
        if not self.attacks:
            raise ConfigError("Chain: needs at least one attack", fix="Name some in `attacks`.")

    @property
    def access(self) -> Access:  # type: ignore[override]
        """What the most demanding of them sees."""
        return max((resolve(part).access for part in self.attacks), key=NEED.index)

    def __call__(
        self, model: Model, x: Tensor, goal: Goal, threat: Threat, *, dice: Dice | None = None
    ) -> Tensor:
        active = Active(model, x, goal, threat, dice)
        refused: list[Unsupported] = []
        none = threat.none(x).detach()
        active.see(none, active.margins(none))
        attacks = [resolve(part) for part in self.attacks]
        for place, (attack, name) in enumerate(zip(attacks, names(attacks), strict=True)):
            if not len(active):
                break
            enter(model, name, len(active))
            try:
                self._turn(active, attack, str(place))
            except Unsupported as error:
                enter(model, f"{name} refused", len(active))
                refused.append(error)
        if len(refused) == len(self.attacks):
            raise refused[0]
        return active.best

    def _turn(self, active: Active, attack: Attack, stream: str) -> None:
        """One attack on the rows that still stand."""
        own, need = self.access, attack.access
        model = active.model if need is own else Tap(active.model, need)
        change = attack(
            model, active.x.clone(), active.goal, active.threat, dice=active.dice.spawn(stream)
        )
        change = active.threat.project(active.x, change.detach())
        rows, margin = active.index, active.margins(change)
        active.see(change, margin)
        broke(active.model, rows[margin >= 0])


def names(attacks: Sequence[Attack]) -> list[str]:
    """Catalogue keys, numbered where several attacks have the same."""
    found = [attack_name(attack) for attack in attacks]
    many = [name for name in found if found.count(name) > 1]
    return [f"{n} {found[: k + 1].count(n)}" if n in many else n for k, n in enumerate(found)]


_CE, _TARGETED = "attack:apgd", "attack:apgd-targeted"
_QUERIES = Square(steps=5000)

AUTOATTACK = register(
    "attack", cites="autoattack", name="autoattack",
    says="The standard version: APGD, towards classes, FAB towards classes, Square.",
)(Chain(attacks=(_CE, _TARGETED, "attack:fab-targeted", _QUERIES)))  # fmt: skip
AUTOATTACK_PLUS = register(
    "attack", cites="autoattack", name="autoattack-plus",
    says="The thorough version: five restarts of everything that has them.",
)(
    Chain(attacks=(
        APGD(restarts=5), APGD(climb="dlr", restarts=5), FAB(restarts=5), _QUERIES, _TARGETED,
        "attack:fab-targeted",
    ))
)  # fmt: skip
AUTOATTACK_RAND = register(
    "attack", cites="autoattack", name="autoattack-rand",
    says="For models that draw: APGD on two losses with gradients of 20 passes each.",
)(Chain(attacks=(APGD(samples=20), APGD(climb="dlr", samples=20))))  # fmt: skip
AUTOATTACK_L1 = register(
    "attack", cites="autoattack", name="autoattack-l1",
    says="The standard version for the sum norm: its ascents come in from larger balls.",
)(
    Chain(attacks=(
        Narrowing(restarts=5), Narrowing(climb="targeted", targets=5), "attack:fab-targeted",
        _QUERIES,
    ))
)  # fmt: skip
PMA_PLUS = register("attack", cites="pma", name="pma-plus", says="PMA, then APGD towards classes.")(
    Chain(attacks=("attack:pma", _TARGETED))
)
MD_ENSEMBLE = register(
    "attack", cites="md-attack", name="md-ensemble",
    says="APGD, margin decomposition without and with targets, and FAB.",
)(Chain(attacks=(_CE, "attack:md", "attack:md-mt", "attack:fab")))  # fmt: skip
