"""The gate of a pipeline rejects a model that lost robustness, and the checklist says why."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from statistics import mean

from torch import Tensor, nn

from holdfast.attacks.pgd import PGD
from holdfast.checks.calibration import Calibration
from holdfast.checks.clean import Clean
from holdfast.checks.lifecycle import CHECKLIST, Lifecycle, answered, lost
from holdfast.checks.worst_case import WorstCase
from holdfast.claims.harness import Claim, Trial
from holdfast.claims.small_net import digits, trained
from holdfast.core.records import Outcome, Report, Subject
from holdfast.run.suite import Suite
from holdfast.threats.norms import LInf

TOLERANCE = 0.1
SUITE = Suite("release", (
    Clean(), WorstCase(attacks=(PGD(steps=5),), probes=1), Calibration(), Lifecycle(),
))  # fmt: skip


class Steep(nn.Module):
    """Answers as the model does on its rows, but a step between them is enough to turn it."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, x: Tensor) -> Tensor:
        """The answer to what is left of a picture whose fine waves were made large."""
        fine = x - nn.functional.avg_pool2d(x, 3, 1, 1)
        found: Tensor = self.inner(x + 1.5 * fine)
        return found


@cache
def report(seed: int, steep: bool) -> Report:
    """The audit of a small net, or of the same net behind a filter that sharpens."""
    rows = digits(seed)[1].take(slice(0, 150))
    model = trained(seed)
    subject = Subject(
        model=Steep(model) if steep else model, batches=rows, trusted=digits(seed)[0],
        threats=(LInf(radius=0.05),), seed=seed,
    )  # fmt: skip
    return SUITE(subject)


def blind(found: Report) -> Report:
    """The mutant's report: numbers without a direction."""
    bare = tuple(
        replace(o, findings=tuple(
            replace(f, readings=tuple(replace(r, better="neither") for r in f.readings))
            for f in o.findings
        ))
        for o in found.outcomes
    )  # fmt: skip
    return replace(found, outcomes=bare)


def trial(seed: int, mutant: str = "") -> Trial:
    """How many numbers the steeper model loses, and how many the same model does."""
    before, after = report(seed, False), report(seed, True)
    if mutant == "forgets-directions":
        before = blind(before)
    if mutant == "compares-with-itself":
        after = before
    worse, same = lost(before, after, TOLERANCE), lost(before, before, TOLERANCE)
    attacked = any("worst" in name for name in worse)
    status = {a.item.name: a.status for a in answered(before, {"data": "sha256:1"})}
    skipped = replace(before, outcomes=(Outcome(check="check:clean", skipped="no time"),))
    unknown = {a.status for a in answered(skipped)} == {"not measured"}
    known = status["clean accuracy"] != "not measured" and status["version of the data"] == "pass"
    rest = status["drift of inputs and answers"] == status["latency"] == "not measured"
    covered = mean(r.value for r in before.readings if r.name == "lifecycle.covered")
    whole = covered == 1.0 and len(CHECKLIST) == len(status)
    holds = attacked and not same and unknown and known and rest and whole
    return Trial(float(len(worse)), float(len(same)), holds)


CLAIM = Claim(
    paper="mlops-robustness-survey",
    methods=("check:lifecycle",),
    says="Of a net behind a sharpening filter the gate rejects the accuracy under attack (more "
    "than 10 points lost), of the same net nothing; the checklist answers what was asked, and "
    "what was skipped or never asked is not measured.",
    left="numbers lost by the sharpened net",
    right="numbers lost by the net itself",
    trial=trial,
    mutants=("forgets-directions", "compares-with-itself"),
    seconds=10,
)
