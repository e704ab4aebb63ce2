"""Our ensemble against AutoAttack on nets of several kinds: rows that stand, passes, CPU seconds.

Run `python benchmarks/ensembles.py [ROWS [SEED ...]]` with $HOLDFAST_DATA naming the folder that
holds MNIST (its cells are left out otherwise); it rewrites its section of `docs/benchmarks.md`
from what all seeds have given so far (`build/benchmarks`; delete it to begin anew) and goes on
where an earlier run was stopped.
AutoAttack is made of torchattacks' four stages with the published settings (100 steps, 9 targets,
5,000 queries; its own preset takes 10 steps), each on what the earlier ones left. torchattacks
has no L1: there our own four stages with the same settings stand for them.
"""

from __future__ import annotations

import json
import os
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import torch
from cells import CELLS, Cell, trained
from page import write
from peers import Counted
from torch import Tensor, nn

from holdfast.attacks.ensemble import AdaptiveEnsemble
from holdfast.core.catalog import build
from holdfast.core.dice import Dice
from holdfast.core.goal import Untargeted
from holdfast.core.kinds import Attack, Threat
from holdfast.run.passes import Passes
from holdfast.run.search import search

ROWS, SEEDS = 200, ("0", "1", "2")
TIERS = ("fast", "standard", "thorough")
KEPT = Path(__file__).parents[1] / "build" / "benchmarks" / "ensembles"
SLACK = 1e-4  # of a radius, for what other tools hand back


@dataclass(frozen=True)
class Taken:
    """What one attack left standing on one net, and what it cost."""

    standing: Tensor
    passes: Passes
    seconds: float

    @property
    def total(self) -> int:
        """Forwards and backwards."""
        return self.passes.forwards + self.passes.backwards


def ours(
    attack: Attack, model: nn.Module, x: Tensor, y: Tensor, threat: Threat, seed: int
) -> Taken:
    """One of our attacks, judged as always; the judge's passes count."""
    start = time.process_time()
    dice = Dice.of(len(x), seed=seed)
    found = search(attack, model, x, Untargeted(y), threat, dice=dice)
    return Taken(~found.broken, found.passes, time.process_time() - start)


def staged(model: nn.Module, x: Tensor, y: Tensor, threat: Threat, seed: int) -> Taken:
    """AutoAttack's four stages as this package has them."""
    start, found = time.process_time(), None
    for key, more in (
        ("attack:apgd", {}),
        ("attack:apgd-targeted", {}),
        ("attack:fab-targeted", {"steps": 100}),
        ("attack:square", {"steps": 5000}),
    ):
        dice = Dice.of(len(x), seed=seed, stream=key)
        found = search(build(key, **more), model, x, Untargeted(y), threat, dice=dice, since=found)
    return Taken(~found.broken, found.passes, time.process_time() - start)


def autoattack(model: nn.Module, x: Tensor, y: Tensor, threat: Threat, seed: int) -> Taken:
    """torchattacks' stages, each on the rows that the earlier ones left."""
    import torchattacks as peer

    counted = Counted(model).eval()
    classes = model(x[:1]).shape[1]
    same = {"eps": threat.radius, "norm": "Linf" if threat.order > 2 else "L2", "seed": seed}
    stages = (
        peer.APGD(counted, loss="ce", steps=100, n_restarts=1, **same),
        peer.APGDT(counted, steps=100, n_classes=classes, n_restarts=1, **same),
        peer.FAB(counted, steps=100, multi_targeted=True, n_classes=classes, n_restarts=1, **same),
        peer.Square(counted, n_queries=5000, n_restarts=1, **same),
    )
    start = time.process_time()
    standing = counted(x).argmax(1) == y
    for stage in stages:
        left = standing.nonzero().flatten()
        if not len(left):
            break
        moved = stage(x[left], y[left]).detach()
        inside = threat.size(x[left], (moved - x[left])) <= 1 + SLACK
        standing[left[inside & (model(moved).argmax(1) != y[left])]] = False
    return Taken(standing, counted.tap.passes, time.process_time() - start)


def row(cell: Cell, seed: int, name: str, taken: Taken, peer: Taken, rows: int) -> dict[str, Any]:
    """One line of the table as plain values."""
    f, b = taken.passes.per(rows)
    return {
        "net": cell.name, "threat": cell.threat.spec, "seed": seed, "attack": name,
        "standing": int(taken.standing.sum()), "peer": int(peer.standing.sum()),
        "missed": int((taken.standing & ~peer.standing).sum()),
        "more": int((~taken.standing & peer.standing).sum()),
        "forwards": f, "backwards": b, "seconds": taken.seconds,
        "passes": peer.total / taken.total, "cpu": peer.seconds / taken.seconds,
    }  # fmt: skip


def compared(cell: Cell, seed: int, rows: int) -> list[dict[str, Any]]:
    """The lines of one net."""
    model, (_, _, x, y) = trained(cell, seed), cell.data()
    first = torch.randperm(len(x), generator=torch.Generator().manual_seed(seed))[:rows]
    x, y = x[first], y[first]
    search(AdaptiveEnsemble(tier="fast"), model, x[:8], Untargeted(y[:8]), cell.threat)  # warms
    if cell.threat.order == 1:
        peer, who = staged(model, x, y, cell.threat, seed), "our stages"
    else:
        peer, who = autoattack(model, x, y, cell.threat, seed), "torchattacks"
    lines = [row(cell, seed, f"AutoAttack ({who})", peer, peer, rows)]
    for tier in TIERS:
        taken = ours(AdaptiveEnsemble(tier=tier), model, x, y, cell.threat, seed)
        lines.append(row(cell, seed, f"ensemble, {tier}", taken, peer, rows))
    sys.stderr.write("\n".join(map(shown, lines)) + "\n")
    return lines


def shown(r: dict[str, Any]) -> str:
    """A line as Markdown."""
    share = f"1/{r['passes']:.0f} | 1/{r['cpu']:.0f}" if r["attack"][:4] != "Auto" else "1 | 1"
    return (
        f"| {r['net']} | {r['threat']} | {r['seed']} | {r['attack']} | {r['standing']} "
        f"| {r['missed']} | {r['more']} | {r['forwards']:.1f} | {r['backwards']:.1f} "
        f"| {r['seconds']:.2f} | {share} |"
    )


def summed(lines: list[dict[str, Any]]) -> str:
    """What the tiers did in all cells together."""
    words = []
    for tier in TIERS:
        own = [r for r in lines if r["attack"] == f"ensemble, {tier}"]
        if not own:
            continue
        level = sum(r["standing"] <= r["peer"] for r in own)
        passes, cpu = sorted(r["passes"] for r in own), sorted(r["cpu"] for r in own)
        words.append(
            f"`{tier}`: no more rows stand than against AutoAttack in {level} of {len(own)} runs "
            f"(at most {max(r['standing'] - r['peer'] for r in own):+d}; in all "
            f"{sum(r['missed'] for r in own)} missed, {sum(r['more'] for r in own)} more), for "
            f"1/{passes[0]:.0f} to 1/{passes[-1]:.0f} of its passes (median 1/{median(passes):.0f})"
            f" and 1/{cpu[0]:.0f} to 1/{cpu[-1]:.0f} of its CPU seconds (median "
            f"1/{median(cpu):.0f})."
        )
    return "\n".join(f"- {w}" for w in words)


def section(lines: list[dict[str, Any]], rows: int) -> str:
    """The section of the page."""
    head = (
        f"{rows} held-out rows per net, a net and rows of its own for each seed, one thread on a"
        " CPU. Missed: rows that AutoAttack broke and we did not; more: the reverse. Passes are"
        " per row; ours include the judge's. The last columns divide passes (forwards and"
        " backwards) and CPU seconds by AutoAttack's. AutoAttack has the published settings"
        " (torchattacks' own preset takes 10 steps where these take 100)."
    )
    table = [
        "| net | threat | seed | attack | standing | missed | more | forwards | backwards | CPU s"
        " | passes | CPU |",
        "|---|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    return "\n".join([head, "", summed(lines), "", *table, *map(shown, lines)])


def main() -> None:
    """Train, measure, write; what other seeds gave earlier is kept."""
    torch.set_num_threads(1)
    rows = int(sys.argv[1]) if len(sys.argv) > 1 else ROWS
    known = [c for c in CELLS if not c.name.startswith("MNIST") or os.environ.get("HOLDFAST_DATA")]
    KEPT.mkdir(parents=True, exist_ok=True)
    for seed in map(int, sys.argv[2:] or SEEDS):
        kept = KEPT / f"{rows}-{seed}.json"
        done: list[dict[str, Any]] = json.loads(kept.read_text("utf-8")) if kept.exists() else []
        for cell in known:
            if any(r["net"] == cell.name for r in done):
                continue  # as an earlier run left it
            done += compared(cell, seed, rows)
            kept.write_text(json.dumps(done), "utf-8")
            files = sorted(KEPT.glob(f"{rows}-*.json"))
            write("Attacks: ensemble", section([r for f in files for r in json.loads(
                f.read_text("utf-8"))], rows))  # fmt: skip


if __name__ == "__main__":
    main()
