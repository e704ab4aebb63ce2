"""A realistic results document with every section, made from formulas; nothing was measured."""

from __future__ import annotations

import base64
import io
import math
from typing import Any

from PIL import Image

CLASSES = [str(i) for i in range(10)]
KINDS = ["gaussian", "shot", "impulse", "motion blur", "fog", "contrast", "brightness", "pixelate"]
FAMILIES = ["Noise"] * 3 + ["Blur"] + ["Weather"] * 3 + ["Digital"]
Plain = dict[str, Any]


def reading(name: str, value: float, spread: float = 0.03, **more: Any) -> Plain:
    """A reading with a symmetric interval, n=360."""
    low, high = max(0.0, value - spread), min(1.0, value + spread) if value <= 1 else value + spread
    made: Plain = {
        "name": name, "value": value, "low": low, "high": high, "n": 360, "bound": "estimate",
        "unit": "share", "better": "higher", "threat": name.partition("@")[2], "seed": 0,
        "flags": [],
    }  # fmt: skip
    return made | more


def finding(severity: str, says: str, readings: Any = (), figures: Any = (), **more: Any) -> Plain:
    """A finding."""
    made: Plain = {
        "severity": severity, "says": says, "readings": list(readings), "advice": "", "rows": [],
        "figures": list(figures),
    }  # fmt: skip
    return made | more


def figure(name: str, kind: str, title: str, says: str, rows: list[Plain], **more: str) -> Plain:
    """A figure."""
    made: Plain = {"name": name, "kind": kind, "title": title, "says": says, "rows": rows}
    return made | {"x": "", "y": ""} | more


def outcome(check: str, section: str, question: str, *findings: Plain) -> Plain:
    """An outcome."""
    return {
        "check": f"check:{check}", "cell": "0" * 16, "question": question, "section": section,
        "findings": list(findings), "error": "", "skipped": "",
    }  # fmt: skip


def png(seed: int, noise: int = 0) -> str:
    """A small picture as a data address."""
    image = Image.new("L", (8, 8))
    image.putdata(
        [
            (200 if (x - 3.5) ** 2 + (y - 3.5) ** 2 < 6 + seed else 20)
            + (x * 7 + y * 13) * noise % 50
            for y in range(8)
            for x in range(8)
        ]
    )
    held = io.BytesIO()
    image.save(held, "PNG")
    return "data:image/png;base64," + base64.b64encode(held.getvalue()).decode("ascii")


def envelope() -> Plain:
    """Attack and certificate curves of two norms."""
    rows: list[Plain] = []
    for norm, end, weak in (("linf", 16 / 255, 34.0), ("l2", 1.5, 1.1)):
        for i in range(9):
            radius = end * i / 8
            up = 0.981 * math.exp(-((weak * radius) ** 1.6))
            rows.append(_at(norm, "upper", radius, up))
        for i in range(1, 6):
            radius = end * i / 16
            rows.append(
                _at(norm, "lower", radius, 0.95 * math.exp(-((2.3 * weak * radius) ** 1.8)))
            )
    says = "Half of the inputs fall before 8/255; a proof holds for half of them only up to 3/255."
    return outcome(
        "envelope", "envelope", "How does accuracy fall with the radius?",
        finding("info", says, figures=[figure(
            "envelope", "envelope", "Accuracy against radius", says, rows, y="accuracy",
        )]),
    )  # fmt: skip


def _at(norm: str, bound: str, radius: float, accuracy: float) -> Plain:
    return {
        "radius": radius, "accuracy": accuracy, "bound": bound, "norm": norm,
        "low": max(0.0, accuracy - 0.03), "high": min(1.0, accuracy + 0.03),
    }  # fmt: skip


def attacks() -> list[Plain]:
    """The worst case with its portfolio, self-checks and gallery."""
    table = [
        {"method": m, "success": f"{s:.1f}%", "median radius": r, "passes": p}
        for m, s, r, p in (
            ("pgd", 63.1, "4.9/255", 28_800), ("apgd", 66.4, "4.6/255", 36_000),
            ("apgd targeted", 68.3, "4.5/255", 36_000), ("square", 41.9, "6.8/255", 180_000),
            ("pointwise worst", 68.8, "4.4/255", 280_800),
        )
    ]  # fmt: skip
    gallery = [
        {
            "title": f"{a} read as {b}", "caption": f"row {n}, radius {r}/255, found by {m}",
            "image": png(i), "changed": png(i, 1), "difference": png(0, 3),
        }
        for i, (a, b, n, r, m) in enumerate(
            (("8", "3", 41, 3.1, "apgd"), ("9", "5", 17, 3.4, "pgd"),
             ("1", "7", 230, 3.9, "square"), ("4", "9", 98, 4.0, "apgd"))
        )
    ]  # fmt: skip
    worst = reading("attacks.worst@linf:8/255", 0.312, bound="upper")
    l2 = reading("attacks.worst@l2:0.5", 0.571, bound="upper")
    return [
        outcome(
            "worst-case", "attacks", "What is left under the strongest attacks?",
            finding("failure", "Under linf:8/255 no more than 31.2% of inputs stay right.",
                    [worst, l2], [
                figure("portfolio", "table", "Portfolio",
                       "APGD targeted is the strongest single attack; together they find more.",
                       table),
                figure("worst", "gallery", "Smallest changes that flip the answer",
                       "Changes of 3/255 are enough for the weakest inputs.", gallery),
            ], rows=[41, 17, 230], advice="holdfast harden demo.pt --recipe trades --budget 3m"),
        ),
        outcome(
            "self-checks", "attacks", "Can the attacks be trusted?",
            finding("good", "More steps do not find more than 1% extra."),
            finding("good", "A radius of 1 breaks every input."),
            finding("good", "Black-box attacks are not better than white-box ones."),
            finding("warning", "Restarts disagree on 2.2% of inputs.",
                    [reading("attacks.restart_gap@linf:8/255", 0.022, 0.012, better="lower",
                             flags=["few restarts"])]),
        ),
    ]  # fmt: skip


def _left(kind: int, severity: int) -> float:
    """Accuracy under a corruption."""
    return max(0.08, 0.97 - (0.03 + 0.022 * kind) * severity**1.25)


def corruptions() -> Plain:
    """Kinds by severity."""
    rows = [
        {
            "row": k,
            "column": s,
            "value": _left(i, s),
            "low": _left(i, s) * 0.95,
            "high": _left(i, s) + 0.03,
            "n": 360,
            "group": FAMILIES[i],
        }
        for i, k in enumerate(KINDS)
        for s in range(1, 6)
    ]
    drops: list[Plain] = [
        {
            "label": k,
            "value": _left(i, 3),
            "low": _left(i, 3) * 0.95,
            "high": _left(i, 3) + 0.03,
            "n": 360,
            "before": 0.981,
            "before low": 0.961,
            "before high": 0.99,
            "against": "unchanged inputs",
        }
        for i, k in enumerate(KINDS)
    ]
    return outcome(
        "corruptions", "corruptions", "Does it survive everyday damage?",
        finding("warning", "Pixelation and brightness hurt most; noise is survived.", [
            reading("corruptions.mean", 0.760, 0.02), reading("corruptions.worst", 0.41, 0.05),
        ], [figure("corruptions", "heat", "Accuracy by kind and severity",
                   "Accuracy falls below one half only at severity 5.", rows, x="severity"),
            figure("corruption-drops", "bars", "What each corruption costs",
                   "Pixelation costs most.", drops, x="accuracy", y="corrupted inputs")]),
    )  # fmt: skip


def slices() -> Plain:
    """Classes, weakest first."""
    values = [0.912, 0.934, 0.951, 0.967, 0.975, 0.983, 0.989, 1.0, 1.0, 1.0]
    rows: list[Plain] = [
        {"label": f"digit {c}", "value": v, "low": v - 0.06, "high": min(1.0, v + 0.03), "n": 36}
        for c, v in zip("8193542076", values, strict=True)
    ]
    return outcome(
        "slices", "slices", "Which classes does it serve worst?",
        finding("info", "No class is surely worse than the rest after correcting for ten looks.",
                [reading("slices.worst", 0.912, 0.06, n=36)],
                [figure("slices", "bars", "Accuracy by class", "Eights are read worst.", rows,
                        x="accuracy")]),
    )  # fmt: skip


def calibration() -> Plain:
    """Reliability and risk against coverage."""
    bins = [{"confidence": c, "accuracy": max(0.0, c - 0.6 * c * (1 - c)), "count": n}
            for c, n in ((0.35, 4), (0.45, 9), (0.55, 14), (0.65, 19), (0.75, 31), (0.85, 58),
                         (0.96, 225))]  # fmt: skip
    risk: list[Plain] = [
        {"x": i / 20, "y": 0.02 * (i / 20) ** 2, "low": 0.01 * (i / 20) ** 2,
         "high": 0.035 * (i / 20) ** 2, "series": s}
        for s in ("as it is",) for i in range(1, 21)
    ]  # fmt: skip
    risk += [r | {"series": "after temperature", "y": r["y"] * 0.8, "low": r["low"] * 0.8,
                  "high": r["high"] * 0.8} for r in risk]  # fmt: skip
    return outcome(
        "calibration", "calibration", "Is its confidence honest?",
        finding("failure", "It is overconfident: it claims more than it keeps.", [
            reading("calibration.ece", 0.081, 0.0105, better="lower"),
            reading("calibration.brier", 0.062, 0.011, better="lower"),
            reading("calibration.nll", 0.214, 0.03, unit="nats", better="lower"),
        ], [
            figure("reliability", "reliability", "Reliability",
                   "Every bin lies below the diagonal.", bins),
            figure("coverage", "lines", "Risk against coverage",
                   "Declining the least sure tenth halves the errors.", risk,
                   x="share of inputs answered", y="errors"),
        ]),
    )  # fmt: skip


def others() -> list[Plain]:
    """Certificates, unfamiliar inputs, explanations, geometry, privacy."""
    radii = [{"left": i / 255, "right": (i + 1) / 255, "count": n, "series": s}
             for s, counts in (("interval bounds", (120, 90, 60, 20, 4)),
                               ("linear bounds", (40, 70, 110, 80, 30)))
             for i, n in enumerate(counts)]  # fmt: skip
    scores = [{"left": i / 10, "right": (i + 1) / 10, "count": n, "series": s}
              for s, counts in (("familiar", (90, 120, 70, 40, 20, 12, 5, 2, 1, 0)),
                                ("noise", (0, 2, 5, 12, 30, 60, 90, 80, 50, 31)))
              for i, n in enumerate(counts)]  # fmt: skip
    squares: list[Plain] = [
        {"panel": p, "series": s, "x": i / 10, "y": (i / 10) ** power}
        | ({} if i else {"area": 1 / (1 + power)})
        for p, hard in (("far: noise", 0.05), ("far: texture", 0.1), ("near: two halves", 0.5))
        for s, power in (("knn", hard), ("energy", 2 * hard)) for i in range(11)
    ]  # fmt: skip
    moved: list[Plain] = [
        {"label": f"class {c}", "feature": c, "value": 0.3 - 0.03 * c, "limit": 0.14,
         "p": 10.0 ** (c - 6), "moved": c < 6}
        for c in range(7)
    ]  # fmt: skip
    return [
        outcome("certificates", "certificates", "For which inputs is safety proven?",
                finding("info", "58.9% of inputs are proven safe within linf:2/255.", [
                    reading("certificates.proved@linf:2/255", 0.589, bound="lower"),
                ], [figure("radii", "histogram", "Proven radii",
                           "Linear bounds prove about twice the radius of intervals.", radii,
                           x="proven radius")])),
        outcome("ood", "ood", "Does it notice what it has never seen?",
                finding("good", "Noise is told apart from digits.", [
                    reading("ood.auroc.far", 0.972, 0.01), reading("ood.auroc.near", 0.912, 0.02),
                ], [figure("scores", "histogram", "Energy score",
                           "The two groups overlap little.", scores, x="energy score, scaled"),
                    figure("ood-roc", "lines", "Detection by foreign set", "Halves are hardest.",
                           squares, x="familiar inputs flagged", y="foreign inputs flagged")])),
        outcome("drift", "ood", "Are the rows still those that it was trusted on?",
                finding("warning", "6 of 7 answers have moved.", [], [
                    figure("drift-answers", "bars", "Which answers moved", "6 of 7 moved.", moved,
                           x="largest distance", y="answer")])),
        outcome("privacy", "privacy", "Can membership be guessed?",
                finding("good", "Membership cannot be told better than by chance.",
                        [reading("privacy.advantage", 0.04, 0.05, better="lower")])),
        outcome("explanations", "explanations", "Do reasons survive small noise?",
                finding("info", "Attributions stay similar under noise.",
                        [reading("explanations.stability", 0.81, 0.04)])),
        outcome("geometry", "geometry", "How sharp is the minimum?",
                finding("info", "The loss surface is sharper than its flat directions suggest.",
                        [reading("geometry.sharpness", 12.4, 2.0, unit="", better="lower"),
                         reading("geometry.lipschitz", 31.0, 4.0, unit="logit per unit",
                                 better="lower", bound="lower")])),
    ]  # fmt: skip


def gate(name: str, relation: str, limit: float, value: float, verdict: str, **more: Any) -> Plain:
    """A gate with an interval."""
    made = reading(name, value, more.pop("spread", 0.03))
    keep = {k: made[k] for k in ("name", "value", "low", "high", "n", "bound", "unit")}
    return keep | {"relation": relation, "limit": limit, "verdict": verdict} | more


def results() -> Plain:
    """The whole document."""
    return {
        "schema_version": 1, "suite": "quick", "seed": 0,
        "subject": {
            "name": "demo.pt",
            "model": {"digest": "sha256:7f3a91bc22d04e", "parameters": 23946, "kind": "entry"},
            "data": {"name": "digits", "digest": "sha256:0b1c2d3e4f5a", "n": 360,
                     "shape": [1, 8, 8], "classes": CLASSES, "n_reference": 1437},
            "threats": ["linf:8/255", "l2:0.5"], "sampled": True,
        },
        "preflight": [
            finding("good", "Inputs lie in [0, 1] and the model expects them there."),
            finding("good", "Outputs are logits, gradients reach the input, answers repeat."),
        ],
        "outcomes": [
            outcome("clean", "clean", "How often is it right on clean inputs?",
                    finding("good", "98.1% of clean inputs are read correctly.",
                            [reading("clean.accuracy", 0.981, 0.014)])),
            envelope(), *attacks(), corruptions(), slices(), calibration(), *others(),
        ],
        "gates": [
            gate("attacks.worst@linf:8/255", ">=", 0.4, 0.312, "fail", bound="upper"),
            gate("calibration.ece", "<=", 0.05, 0.081, "fail", spread=0.0105),
            gate("clean.accuracy", ">=", 0.9, 0.981, "pass", spread=0.014),
            gate("corruptions.mean", ">=", 0.7, 0.76, "pass", spread=0.02),
            gate("certificates.proved@linf:2/255", ">=", 0.5, 0.589, "pass", bound="lower"),
            gate("ood.auroc.far", ">=", 0.9, 0.912, "undecided", spread=0.02),
        ],
        "gates_from": "default",
        "verdict": {"word": "NOT READY", "code": 1,
                    "says": "2 of 6 gates fail: attacks.worst@linf:8/255 and calibration.ece."},
        "actions": [
            {"says": "Calibrate its confidence", "command": "holdfast guard demo.pt --temperature",
             "effect": "error 2–3%, 4 s"},
            {"says": "Train against attacks",
             "command": "holdfast harden demo.pt --recipe trades --budget 3m",
             "effect": "worst case 45–52%"},
            {"says": "Attack for longer", "command": "holdfast audit demo.pt --profile standard",
             "effect": "a tighter bound"},
        ],
        "not_tested": [
            {"check": "check:reconstruction", "reason": "The suite quick leaves it out.",
             "enable": "--profile deep"},
            {"check": "check:drift", "reason": "The data have no groups.",
             "enable": "--group COLUMN"},
        ],
        "methods": [
            {"key": "attack:apgd", "says": "Projected gradient ascent that halves its own step.",
             "title": "Reliable evaluation of adversarial robustness with an ensemble of attacks",
             "year": 2020, "link": "https://arxiv.org/abs/2003.01690",
             "settings": {"steps": 50, "restarts": 1}, "claim": "holds"},
            {"key": "certifier:crown", "says": "Backward linear bounds of every neuron.",
             "title": "Efficient neural network robustness certification", "year": 2018,
             "link": "https://arxiv.org/abs/1811.00866", "settings": {}, "claim": "holds"},
        ],
        "command": "holdfast audit demo.pt --data digits --profile quick --seed 0",
    }  # fmt: skip


def run() -> Plain:
    """Times and host."""
    return {
        "started": "2026-11-20T10:12:01Z", "finished": "2026-11-20T10:12:48Z",
        "total_seconds": 47.2,
        "device": "cpu", "torch": "2.13.0", "cores": 2,
        "seconds": {"worst case": 18.2, "certificates": 9.1, "corruptions": 6.0, "clean": 0.4},
    }  # fmt: skip


def baseline() -> Plain:
    """An earlier, weaker audit of the same subject."""
    old = results()
    for one in old["outcomes"]:
        for found in one["findings"]:
            for r in found["readings"]:
                if r["name"] == "attacks.worst@linf:8/255":
                    r.update(value=0.121, low=0.09, high=0.16)
            for f in found["figures"]:
                if f["kind"] == "envelope":
                    for row in f["rows"]:
                        row["accuracy"] *= 0.75 if row["radius"] > 0 else 1.0
    return old
