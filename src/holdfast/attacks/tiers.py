"""How much an ensemble of ascents may spend on a row, by how near its boundary may be."""

from __future__ import annotations

from dataclasses import dataclass, replace

from holdfast.core.kinds import Threat
from holdfast.threats.onward import Onward


@dataclass(frozen=True)
class Wave:
    """Ascents of a row that run side by side, and the rows that get them.

    Args:
        sides: how many ascents.
        sure: largest share of the margin that may be left.
        most: the same for rows on which fewer than `ends` ascents have come as near as the best:
            where several end alike, that is the top; where none does, further ones may end higher.
        ends: see there.
        wide: multiple of the threat in which the first step ends; those of later ones shrink
            until the last third of an ascent stays within the threat.
    """

    sides: int
    sure: float
    most: float = 0.0
    ends: int = 3
    wide: float = 1.0


@dataclass(frozen=True)
class Tier:
    """How much an ensemble may spend on a row, by how near its ascents have come.

    Args:
        steps: of the first ascent.
        targets: waves of ascents towards further ways to win.
        chase: their steps.
        pursuit: the ascents that came nearest go on, on rows that may fall.
        polish: largest share of the margin that may be left for small steps from the best change.
        settle: the same for more of them behind the rounds; 0: none.
        edge: small steps from around the best change, last, where hardly any margin is left.
        rounds: waves of random starts.
        run: their steps.
        first: length in radii of the first step of every ascent; later ones fall to zero.
        queries: of the probe without gradients.
        probe: largest share of the margin that may be left for it.
    """

    steps: int
    targets: tuple[Wave, ...]
    chase: int
    pursuit: Wave
    polish: float
    settle: float
    edge: Wave
    rounds: tuple[Wave, ...]
    run: int
    first: float
    queries: int
    probe: float


TIERS = {
    "fast": Tier(
        12, (Wave(2, 0.2), Wave(2, 0.1), Wave(4, 0.03)), 4, Wave(2, 0.06), 0.03, 0.0,
        Wave(0, 0.0), (Wave(4, 0.02), Wave(6, 0.01)), 15, 3.0, 20, 0.0,
    ),
    "standard": Tier(
        15, (Wave(2, 0.5), Wave(2, 0.3), Wave(4, 0.15)), 4, Wave(2, 0.15), 0.1, 0.05,
        Wave(18, 0.005),
        (Wave(9, 0.03), Wave(1, 0.15), Wave(3, 0.05, 0.4, 2), Wave(9, 0.01, 0.15, 2)),
        18, 3.0, 80, 0.0,
    ),
    "thorough": Tier(
        30, (Wave(9, 1),), 10, Wave(2, 1), 1.0, 0.3,
        Wave(18, 0.005),
        (Wave(2, 1), Wave(6, 1), Wave(12, 0.1, 0.4), Wave(24, 0.03, 0.3), Wave(48, 0.01, 0.2)),
        25, 3.0, 400, 1.0,
    ),
}  # fmt: skip

# Under a winding threat an ascent sees little of what lies elsewhere. So every row starts from many
# places, steps are short, and all rows may go on.
SCATTERED = {
    "fast": (Wave(6, 1), Wave(12, 0.02, 1, 2)),
    "standard": (Wave(8, 1), Wave(24, 0.06, 1), Wave(48, 0.03, 1)),
    "thorough": (Wave(16, 1), Wave(48, 0.2, 1), Wave(96, 0.06, 1)),
}
SHORT, FEW = 0.5, 10  # their first step, in radii, and how many there are

# Where budget moves from coordinate to coordinate (L1) there are many tops, and ascents that end
# alike may have found a low one. Ascents that come in from larger threats look at rows again.
NARROWING = {
    "fast": (Wave(1, 0.2, wide=4.0), Wave(1, 0.1, wide=4.0), *TIERS["fast"].rounds),
    "standard": (
        *TIERS["standard"].rounds[:2],
        Wave(4, 0.2, wide=4.0),
        *TIERS["standard"].rounds[2:],
    ),
    "thorough": (
        *TIERS["thorough"].rounds[:2],
        Wave(4, 0.5, wide=4.0),
        *TIERS["thorough"].rounds[2:],
    ),
}


def tier_of(name: str, threat: Threat) -> Tier:
    """The tier of that name, as it suits a threat."""
    tier = TIERS[name]
    if isinstance(threat, Onward):
        return replace(tier, rounds=NARROWING[name])
    if not threat.winding:
        return tier
    return replace(tier, rounds=SCATTERED[name], run=FEW, first=SHORT)
