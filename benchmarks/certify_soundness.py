"""Soundness: certifiers are asked about nets whose counterexamples were planted.

Run `python benchmarks/certify_soundness.py [--certifiers crown ibp beta-crown:attack=false]`.
Settings stand behind the name, separated by commas; anything that looks for counterexamples must
be switched off there, or it finds what was planted. Writes one line per certifier and ends with
exit code 1 if one of them proved a net that has a counterexample, or bounded it too low.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter

import torch
from page import write

from holdfast.attacks.pgd import PGD
from holdfast.core.catalog import build, entries, find
from holdfast.core.kinds import Certifier
from holdfast.run.search import search
from holdfast.testing.planted import Planted, gallery, soundness, trained

TRAINED = 4  # nets of the paper's kind; each has up to four rows


def certifier(text: str) -> Certifier:
    """`name` or `name:setting=value,setting=value`."""
    name, _, rest = text.partition(":")
    values = dict(pair.split("=", 1) for pair in rest.split(",") if pair)
    made = build(f"certifier:{name}", **values)
    return made() if isinstance(made, type) else made


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
    every = [e.name for e in entries("certifier") if not find(e.key).name.startswith("smoothing")]
    parser.add_argument("--certifiers", nargs="+", default=every)
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
        f"{spent:.0f} s to make; not as planned: {bad or 'none'}.", "",
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
