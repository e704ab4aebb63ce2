"""Every cosmetic defence of the honesty gallery is flagged, no honest net is."""

from __future__ import annotations

from functools import cache

from torch import Tensor, nn

from holdfast.checks.self_checks import self_checks
from holdfast.checks.signs import SelfCheck
from holdfast.claims.harness import Claim, Trial
from holdfast.core.dice import Dice
from holdfast.core.kinds import Model
from holdfast.run.passes import Passes, Tap
from holdfast.testing.worlds.masked import digits, flat, gallery, trained
from holdfast.threats.norms import LInf

ROWS, RADIUS, BUDGET = 32, 0.1, 100
PROBES = {  # mutants: a probe is left out
    "trusts-any-scale": "loss has a scale",
    "trusts-any-range": "inputs in range",
    "misses-jumps": "margins do not jump",
    "misses-flat-slopes": "slopes exist",
}


def _asked(model: Model, x: Tensor, y: Tensor) -> tuple[list[SelfCheck], Passes]:
    tap = Tap(model)
    found = self_checks(tap, x, y, LInf(radius=RADIUS), Dice.of(len(x)))
    return found, tap.passes


@cache
def _seen(seed: int) -> tuple[tuple[list[SelfCheck], ...], tuple[list[SelfCheck], ...], float]:
    """Self-checks of the wrapped nets and of the honest ones; most forwards per row."""
    x, y = digits(seed)
    nets: list[nn.Module] = [
        trained(flat, x[:600], y[:600], radius=radius, epochs=6, seed=seed)
        for radius in (RADIUS, 0.0)
    ]
    x, y = x[600 : 600 + ROWS], y[600 : 600 + ROWS]
    masked = [_asked(case.model, case.x, case.y) for case in gallery(nets[0], x, y)]
    honest = [_asked(net, x, y) for net in nets]
    most = max(passes.per(ROWS)[0] for _, passes in masked + honest)
    return tuple(f for f, _ in masked), tuple(f for f, _ in honest), most


def trial(seed: int, mutant: str = "") -> Trial:
    """Defences that are flagged, of how many; none of the honest nets may be."""
    masked, honest, most = _seen(seed)

    def flagged(found: list[SelfCheck]) -> bool:
        if mutant == "always-doubts":
            return True
        return any(not c.passed for c in found if c.name != PROBES.get(mutant))

    caught, wronged = sum(map(flagged, masked)), sum(map(flagged, honest))
    holds = caught == len(masked) and not wronged and most <= BUDGET
    return Trial(float(caught), float(len(masked)), holds)


CLAIM = Claim(
    paper="check",
    methods=("check:worst-case",),
    says="self-checks flag every one of fifteen cosmetic defences and no honest net, for at most "
    "100 forwards per row",
    left="defences flagged",
    right="defences in the gallery",
    trial=trial,
    seeds=(411, 412),
    mutants=(*PROBES, "always-doubts"),
    seconds=20,
)
