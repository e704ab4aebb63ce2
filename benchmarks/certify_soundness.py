"""Soundness: certifiers are asked about nets whose counterexamples were planted.

Run `python benchmarks/certify_soundness.py [--certifiers crown milp:seconds=5 blind:splits=signs]`.
Settings stand behind the name, separated by commas. `blind` is branch and bound to which every
input that it tries looks safe, so that it can only prove or run out of time: it must not be saved
by a counterexample that it meets. Writes one line per certifier and ends with exit code 1 if one
of them proved a net that has a counterexample, or bounded it too low.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter
from typing import Literal
from unittest.mock import patch

import torch
from page import write
from torch import Tensor

from holdfast.attacks.pgd import PGD
from holdfast.certify.linear.prepare import prepare
from holdfast.certify.search.complete import decided
from holdfast.certify.search.tried import Tried
from holdfast.core.catalog import build, entries
from holdfast.core.certificate import Certificate
from holdfast.core.dice import Dice
from holdfast.core.fields import Positive, coerced, settings
from holdfast.core.goal import Goal
from holdfast.core.kinds import Certifier, Model, Threat
from holdfast.run.search import search
from holdfast.testing.planted import Planted, gallery, soundness, trained

TRAINED = 4  # nets of the paper's kind; each has up to four rows
# What these say is about most changes, or has a confidence: it proves nothing.
LIKELY = ("pac", "smoothing", "smoothing-sequential", "dual-smoothing")
SECONDS = 2  # per row, for what searches


@settings
class Blind(Certifier):
    """Branch and bound without attacks, to which nothing that it tries is a counterexample.

    Args:
        splits: what is divided: signs of neurons, or inputs.
        seconds: limit per row.
    """

    splits: Literal["signs", "inputs"] = "signs"
    seconds: Positive = 2.0

    def __call__(
        self, model: Model, x: Tensor, goal: Goal, threat: Threat, *, dice: Dice | None = None
    ) -> Certificate:
        question = prepare(model, x, goal, threat)
        margin = torch.full((len(x),), torch.inf, dtype=torch.float64)
        if question is None:
            return Certificate(model, threat, margin)
        signs = self.splits == "signs"
        with patch.object(Tried, "witnesses", property(lambda tried: tried.x[:0])):
            for row in range(len(x)):
                found = decided(question, row, 0.0, self.seconds, 10**6, signs=signs, attack=False)
                if found.answer == "unsat":
                    margin[row] = -found.least
        return Certificate(model, threat, margin)


def certifier(text: str) -> Certifier:
    """`name` or `name:setting=value,setting=value`."""
    name, _, rest = text.partition(":")
    values = dict(pair.split("=", 1) for pair in rest.split(",") if pair)
    if name == "blind":
        return coerced(Blind, values)
    made = build(f"certifier:{name}", **values)
    return made() if isinstance(made, type) else made


def asked() -> list[str]:
    """All that prove, those that search for a few seconds, and `blind` both ways."""
    names = [e.name for e in entries("certifier") if e.name not in LIKELY]
    timed = {name for name in names if hasattr(certifier(name), "seconds")}
    texts = [f"{name}:seconds={SECONDS}" if name in timed else name for name in names]
    return [*texts, *(f"blind:splits={way},seconds={SECONDS}" for way in ("signs", "inputs"))]


def hidden(cases: list[Planted]) -> int:
    """Nets on which 20 ascents of 50 steps find no counterexample."""
    attack, count = PGD(steps=50, restarts=20, climb="margin"), 0
    for case in cases:
        found = search(attack, case.model, case.x, case.goal, case.threat)
        count += int(not bool(found.broken.any()))
    return count


def main() -> int:
    """Make the nets, ask everyone, print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--certifiers", nargs="+", default=asked())
    parser.add_argument("--seeds", type=int, default=3)
    given = parser.parse_args()
    torch.set_num_threads(1)
    start = time.perf_counter()
    cases = list(gallery(tuple(range(given.seeds))))
    for seed in range(TRAINED):
        cases += trained(seed=seed)
    kinds = Counter(case.name.split()[0] for case in cases)
    bad = [case.name for case in cases if not case.truth]
    spent = time.perf_counter() - start
    lines = [
        f"{len(cases)} planted rows ({dict(kinds)}), {hidden(cases)} of them hidden from ascents, "
        f"{spent:.0f} s to make; not as planned: {bad or 'none'}. Left out are certifiers "
        "whose statement is about most changes, or has a confidence: one counterexample is no "
        "contradiction.",
        "",
        "| certifier | false proofs | bounds too low | proved when easy | refused | s |",
        "|---|---|---|---|---|---|",
    ]  # fmt: skip
    wrong = list(bad)
    for text in given.certifiers:
        start = time.perf_counter()
        found = soundness(certifier(text), cases)
        wrong += [f"{text}: {name}" for name in sorted({*found.false, *found.bounded})]
        lines.append(
            f"| {text} | {len(found.false)} | {len(found.bounded)} | {found.proved} of "
            f"{found.asked - found.refused} | {found.refused} | {time.perf_counter() - start:.1f} |"
        )
    lines += ["", "Wrong: " + ("; ".join(wrong) or "none") + "."]
    write("Certify: planted counterexamples", "\n".join(lines))
    return int(bool(wrong))


if __name__ == "__main__":
    sys.exit(main())
