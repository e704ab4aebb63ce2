"""The words of the report: titles of sections, names of numbers, marks of severity."""

from __future__ import annotations

from holdfast.report.document import text

SECTIONS: dict[str, tuple[str, str]] = {
    "envelope": ("Envelope", "How strong is it, and how sure are we?"),
    "risk": ("Risk map", "Where does it break?"),
    "failures": ("Worst failures", "What does a failure look like?"),
    "clean": ("Before any attack", "Does it work, and was it measured the right way?"),
    "attacks": ("Attacks", "What can an adversary reach, and is the number honest?"),
    "certificates": ("Certificates", "What is proven?"),
    "corruptions": ("Corruptions and shifts", "Does it survive weather, sensors and drift?"),
    "slices": ("Slices", "Who is hurt?"),
    "calibration": ("Calibration and abstaining", "Can its confidence be trusted?"),
    "ood": ("Unfamiliar inputs", "Does it know what it does not know?"),
    "privacy": ("Privacy", "Does it leak its training data?"),
    "explanations": ("Explanations", "Are its reasons stable?"),
    "geometry": ("Geometry", "Why is it fragile?"),
    "cost": ("Cost", "What did the answer cost?"),
    "change": ("Change since baseline", "Better or worse?"),
    "gates": ("Gates", "What was asked for, by the names that a gate file uses?"),
    "actions": ("Actions", "What next?"),
    "not-tested": ("Not tested", "What do we still not know?"),
    "methods": ("Methods", "Where do these numbers come from?"),
    "reproduce": ("Reproduce", "How do I get the same answer elsewhere?"),
}

NAMES = {
    "attacks.worst": "Worst-case accuracy",
    "clean.accuracy": "Clean accuracy",
    "accuracy": "Accuracy",
    "calibration.ece": "Calibration error",
    "corruptions.mean": "Corrupted accuracy",
    "corruptions.worst": "Worst corruption",
    "slices.worst": "Weakest class",
    "clean.worst_class": "Weakest class",
    "envelope.attacked": "Attacked accuracy",
    "envelope.certified": "Proven accuracy",
    "certificates.proved": "Proven accuracy",
    "certificates.proved_within": "Proven within a smaller radius",
    "certificates.open": "Neither proven nor broken",
    "certificates.smoothed": "Proven behind noise",
    "certificates.smoothed_radius": "Mean radius proven behind noise",
    "certificates.abstained": "Abstained behind noise",
    "ood.auroc": "Novelty detection",
    "ood.fpr95": "Foreign inputs let in where 95 % of familiar ones pass",
    "ood.auroc.far": "Novelty detection, far",
    "ood.auroc.near": "Novelty detection, near",
    "explanations.stability": "Stable explanations",
    "explanations.control": "Same reasons from random weights",
    "clean.majority": "Commonest class",
    "clean.nonfinite": "Outputs that are not finite",
    "preflight.accuracy": "Accuracy in preflight",
    "calibration.ece_after_temperature": "Calibration error after temperature",
    "calibration.adaptive-ece": "Calibration error, equal bins",
    "calibration.brier": "Brier score",
    "calibration.nll": "Negative log-likelihood",
    "selective.aurc": "Wrong answers, in the mean over coverages",
    "geometry.linear_distance": "First-order distance to the boundary",
    "geometry.slope": "Slope of the margin",
    "geometry.lipschitz.median": "Local Lipschitz constant, median",
    "geometry.lipschitz.q90": "Local Lipschitz constant, 90% quantile",
    "geometry.sharpness": "Rise of the loss, weights moved",
    "geometry.hessian.top": "Largest curvature of the loss",
    "geometry.hessian.trace": "Total curvature of the loss",
}

TOKENS = {
    "ece": "calibration error",
    "nll": "negative log-likelihood",
    "auroc": "area under the detection curve",
    "fpr": "false alarms",
    "tpr": "detections",
    "ood": "unfamiliar inputs",
    "ibp": "interval bounds",
    "crown": "linear bounds (CROWN)",
    "pgd": "PGD",
    "apgd": "APGD",
    "fgsm": "FGSM",
    "bim": "BIM",
}

SHORT = {
    "calibration": "Calibration", "corruptions": "Corruptions", "ood": "Unfamiliar inputs",
    "clean": "Clean inputs",
}  # fmt: skip

SEVERITIES = {
    "failure": ("✕", "Failure"),
    "warning": ("!", "Warning"),
    "good": ("✓", "Good"),
    "info": ("i", "Note"),
}
VERDICTS = {
    "pass": ("✓", "PASS"), "fail": ("✕", "FAIL"), "undecided": ("?", "UNDECIDED"),
    "accepted": ("≈", "ACCEPTED"),
}  # fmt: skip
BESIDE = "NOT APPLICABLE"
WORDS = {"READY": "pass", "NOT READY": "fail", "UNDECIDED": "undecided", "INCOMPLETE": "undecided"}
BOUNDS = {
    "upper": "upper bound",
    "lower": "lower bound",
    "estimate": "estimate",
    "exact": "exact for these rows",
}


def split(name: str) -> tuple[str, str]:
    """A reading's name and its threat: `attacks.worst@linf:8/255` -> both parts."""
    head, _, threat = name.partition("@")
    return head, threat


def label(name: object) -> str:
    """A reading's name in words, without its threat."""
    head, _ = split(text(name, 200))
    if head in NAMES:
        return NAMES[head]
    first, _, rest = head.partition(".")
    words = [TOKENS.get(w, w) for w in rest.replace("_", ".").replace("-", ".").split(".") if w]
    title = SECTIONS[first][0] if first in SECTIONS else first.replace("_", " ").capitalize()
    title = SHORT.get(first, title)
    return f"{title}: {' '.join(words)}" if words else title


def verdict(value: object) -> tuple[str, str, str]:
    """Class, mark and word of one gate's verdict; unknown ones count as missing."""
    key = text(value).lower()
    mark, word = VERDICTS.get(key, ("–", BESIDE if key == BESIDE.lower() else "MISSING"))
    return (key if key in VERDICTS else "missing"), mark, word


def severity(value: object) -> tuple[str, str, str]:
    """Class, mark and word of a finding's severity."""
    names = ("info", "good", "warning", "failure")
    known = isinstance(value, int) and 0 <= value < len(names)
    key = names[value] if known and isinstance(value, int) else text(value).lower()
    key = key if key in SEVERITIES else "info"
    mark, word = SEVERITIES[key]
    return key, mark, word
