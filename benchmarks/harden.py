"""Hardening: against a loop by hand and ART in the same time, what the loop and AWP cost, and auto.

Run `python benchmarks/harden.py [--only PART ...] [SECONDS [SEED ...]]`: what is measured (costs,
races, auto; all three if nothing is said), processor seconds that each training gets, and seeds.
It rewrites its sections of `docs/benchmarks.md` from what all seeds have given so far
(`build/benchmarks/harden`; delete it to begin anew) and goes on where an earlier run was stopped.
MNIST takes part where $HOLDFAST_DATA names a folder that holds it. Robust accuracy is what the
standard ensemble leaves, never what the attack of the training leaves. The recipe called the best
is the one that is best on rows held out of the training, not on those in the table. Rivals and the
first recipe, which was chosen on other seeds, run on all seeds before the other recipes begin.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from itertools import product
from pathlib import Path
from statistics import mean, median
from typing import Any

import torch
import torch.nn.functional as F
import weak
from cells import digits, large, mnist, small
from page import write
from rivals import BATCH, RATE, RIVALS
from torch import Tensor, nn

from holdfast.core.catalog import build, entries, resolve
from holdfast.core.data import Batches
from holdfast.core.dice import Dice
from holdfast.core.fields import Later
from holdfast.core.goal import Untargeted
from holdfast.run.loop import Training
from holdfast.run.search import search
from holdfast.threats.norms import LInf

SECONDS, SEEDS, PARTS = 30.0, (0, 1, 2), ("costs", "races", "auto")
ROWS, HELD, GOAL = 500, 200, 0.03
WANTED = (
    "ema-n-fgsm", "n-fgsm", "short-at", "trades", "pgd-at", "ema-at", "swa-at", "mart", "adr",
    "label-smoothing-at",
)  # fmt: skip
KEPT = Path(__file__).parents[1] / "build" / "benchmarks" / "harden"
DATA = {"digits": (digits, small, 0.1), "MNIST": (mnist, large, 0.15)}
Train = Callable[[nn.Module, Tensor, Tensor, int], None]


def judged(model: nn.Module, x: Tensor, y: Tensor, radius: float) -> tuple[float, float]:
    """Clean accuracy, and what the standard ensemble leaves of it."""
    with torch.no_grad():
        clean = float((model(x).argmax(1) == y).double().mean())
    found = search(
        build("attack:ensemble", tier="standard"), model, x, Untargeted(y), LInf(radius=radius),
        dice=Dice.of(len(x), 0),
    )  # fmt: skip
    return clean, 1 - float(found.broken.double().mean())


def tools(radius: float) -> dict[str, Train]:
    """All ways of training, each for so many epochs."""
    found: dict[str, Train] = {}
    for name, rival in RIVALS.items():
        found[name] = lambda m, x, y, n, r=rival: r(m, x, y, radius, n)  # type: ignore[misc]
    here = {e.name for e in entries("recipe") if not e.caution}
    for name in (n for n in WANTED if n in here):
        plan = resolve(f"recipe:{name}").against(LInf(radius=radius))

        def ours(m: nn.Module, x: Tensor, y: Tensor, n: int, plan: Training = plan) -> None:
            replace(plan, epochs=n)(m, Batches(x=x, y=y, size=BATCH))

        found[f"holdfast {name}"] = ours
    return found


def raced(data: str, seed: int, seconds: float, name: str) -> dict[str, Any]:
    """One tool for the processor time: epochs follow from what one warm epoch takes."""
    read, make, radius = DATA[data]
    x, y, tx, ty = read()
    x, y, hx, hy = x[HELD:], y[HELD:], x[:HELD], y[:HELD]
    tx, ty, train = tx[:ROWS], ty[:ROWS], tools(radius)[name]
    torch.manual_seed(seed)
    model = make()
    train(make(), x[:BATCH], y[:BATCH], 1)  # loads what is loaded once
    start = time.process_time()
    train(make(), x, y, 1)
    epochs = max(round(seconds / (time.process_time() - start)), 1)
    torch.manual_seed(seed)
    start = time.process_time()
    train(model, x, y, epochs)
    took = time.process_time() - start
    held, (clean, robust) = judged(model, hx, hy, radius), judged(model, tx, ty, radius)
    row = {"data": data, "seed": seed, "tool": name, "epochs": epochs, "seconds": took}
    return row | {"held": held[1], "clean": clean, "robust": robust}


def overhead(seed: int, seconds: float) -> dict[str, float]:
    """The loop without hooks over a bare loop, on the same net and rows; medians of pairs."""
    x, y, _, _ = digits()
    data = Batches(x=x, y=y, size=BATCH)

    def bare() -> float:
        torch.manual_seed(seed)
        model = small()
        optimizer = torch.optim.SGD(model.parameters(), RATE, momentum=0.9)
        start = time.process_time()
        for _ in range(5):
            for part in torch.randperm(len(x)).split(BATCH):
                optimizer.zero_grad()
                F.cross_entropy(model(x[part]), y[part]).backward()
                optimizer.step()
        return time.process_time() - start

    def looped() -> float:
        torch.manual_seed(seed)
        model, plan = small(), Training(optimizer=Later("torch:SGD", lr=RATE, momentum=0.9))
        start = time.process_time()
        replace(plan, epochs=5, schedule="constant")(model, data)
        return time.process_time() - start

    bare(), looped()
    pairs = []
    begun = time.process_time()
    while time.process_time() - begun < seconds or len(pairs) < 5:
        a, b = (bare(), looped()) if len(pairs) % 2 else (looped(), bare())[::-1]
        pairs.append(b / a)
    return {"overhead": median(pairs) - 1, "pairs": len(pairs)}


def passes() -> list[dict[str, Any]]:
    """Rows forward and back per row and epoch, with and without a perturbation of the weights."""
    x, y, _, _ = digits()
    data = Batches(x=x[:256], y=y[:256], size=BATCH)
    base = Later("torch:SGD", lr=0.1)
    found = []
    looks = {"plain": base, "SAM": Later("optimizer:sam", base=base),
             "AWP": Later("optimizer:awp", base=base)}  # fmt: skip
    for (name, optimizer), what in product(looks.items(), ("supervised", "pgd-at", "fast-at")):
        seen, model = [0, 0], small()

        def count(module: nn.Module, given: Any, out: Tensor, seen: list[int] = seen) -> None:
            seen[0] += len(out)
            if out.requires_grad:
                out.register_hook(lambda _: seen.__setitem__(1, seen[1] + len(out)))

        model.register_forward_hook(count)
        Training(objective=f"objective:{what}", optimizer=optimizer, epochs=1)(model, data)
        found.append(
            {"name": f"{what}, {name}", "forwards": seen[0] / 256, "backwards": seen[1] / 256}
        )
    return found


def cured(world: str, seed: int) -> dict[str, Any]:
    """`holdfast harden --recipe auto` on a planted weakness: the gate before and after."""
    from holdfast.cli import reaudit
    from holdfast.cli.front import run

    os.environ |= {"WEAK": world, "WEAK_SEED": str(seed)}
    here = Path.cwd()
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        try:
            torch.save(weak.weak(world, seed).state_dict(), "net.pt")
            gates = "".join(f'"{k}" = "{v}"\n' for k, v in weak.GATES[world].items())
            Path("holdfast.toml").write_text(f"[gate]\n{gates}")
            Path("weak.toml").write_text(weak.SUITE)
            reaudit._PROFILE = "weak.toml"
            common = ["--arch", "weak:net", "--threat", "linf:0.1", "--seed", str(seed)]
            audit = ["audit", "net.pt", "--data", "weak:judging", "--reference", "weak:learning"]
            run([*audit, *common, "--profile", "weak.toml"])
            code = run(["harden", "net.pt", "--data", "weak:learning", *common, "--recipe", "auto",
                        "-o", "hard.safetensors", "--budget", "20m"])  # fmt: skip
            if code:
                return {"world": world, "recipe": "none", "code": code}
            card = json.loads(Path("hard.json").read_text())
            runs = Path(".holdfast/runs").glob("*/results.json")
            files = sorted(runs, key=lambda p: p.stat().st_mtime)
            both = [json.loads(p.read_text()) for p in files]
            return {"world": world, "recipe": card["recipe"], "why": card["why"],
                    "before": _gates(both[0]), "after": _gates(both[-1])}  # fmt: skip
        finally:
            os.chdir(here)


def _gates(results: dict[str, Any]) -> dict[str, Any]:
    return {g["name"]: [g["value"], g["verdict"]] for g in results["gates"]}


def better(row: dict[str, Any]) -> bool:
    """The gate that was missed is better than before, and no gate that passed fails now."""
    if "before" not in row:
        return False
    first = next(iter(weak.GATES[row["world"]]))
    up = weak.GATES[row["world"]][first].startswith(">")
    a, b = row["before"][first][0], row["after"][first][0]
    broken = [n for n, (_, w) in row["before"].items() if w == "pass"
              and row["after"].get(n, [0, "fail"])[1] == "fail"]  # fmt: skip
    return bool((b > a if up else b < a) and not broken)


def section(kept: list[dict[str, Any]], seconds: float) -> str:
    """The section of races and costs, from what all seeds have given."""
    lines = [
        f"{seconds:g} processor seconds for each training, one thread; {ROWS} rows judged by the"
        " standard ensemble; means and ranges over the seeds that are named.", "",
        "| data | tool | seeds | epochs | CPU s | clean | robust |",
        "|---|---|---|---|---|---|---|",
    ]  # fmt: skip
    races = [r for k in kept for r in k.get("races", [])]
    for data, tool in sorted({(r["data"], r["tool"]) for r in races}, key=_place):
        own = [r for r in races if (r["data"], r["tool"]) == (data, tool)]
        robust = [r["robust"] for r in own]
        seeds = " ".join(str(r["seed"]) for r in own)
        lines.append(
            f"| {data} | {tool} | {seeds} | {median(r['epochs'] for r in own):g} "
            f"| {mean(r['seconds'] for r in own):.0f} | {mean(r['clean'] for r in own):.1%} "
            f"| {mean(robust):.1%} ({min(robust):.1%}-{max(robust):.1%}) |"
        )
    return "\n".join([*lines, "", *_best(races), "", *_costs(kept)])


def _place(row: tuple[str, str]) -> tuple[int, int]:
    """Data, then rivals, then recipes, in the order in which they are named."""
    order = [*RIVALS, *(f"holdfast {n}" for n in WANTED)]
    return list(DATA).index(row[0]), order.index(row[1])


def _best(races: list[dict[str, Any]]) -> list[str]:
    """What is best on held-out rows against each rival, all on the same seeds.

    Those are the seeds that both rivals and the first recipe have run; a recipe that lacks one
    of them does not compete.
    """
    lines = []
    for data in dict.fromkeys(r["data"] for r in races):
        runs: dict[str, dict[int, Any]] = {}
        for row in (r for r in races if r["data"] == data):
            runs.setdefault(row["tool"], {})[row["seed"]] = row
        must = [runs.get(t, {}).keys() for t in (*RIVALS, f"holdfast {WANTED[0]}")]
        seeds = sorted(set(must[0]).intersection(*must[1:]))
        mine = [t for t in runs if t not in RIVALS and seeds and {*seeds} <= runs[t].keys()]
        if not mine:
            continue
        ours = max(mine, key=lambda t: mean(runs[t][s]["held"] for s in seeds))
        for rival in RIVALS:
            more = {k: mean(runs[ours][s][k] - runs[rival][s][k] for s in seeds)
                    for k in ("robust", "clean")}  # fmt: skip
            least = min(runs[ours][s]["robust"] - runs[rival][s]["robust"] for s in seeds)
            met = more["robust"] >= GOAL and more["clean"] >= 0
            lines.append(
                f"- {data}, {ours} against {rival}, seeds {', '.join(map(str, seeds))}: robust "
                f"{100 * more['robust']:+.1f} points (worst seed {100 * least:+.1f}), clean "
                f"{100 * more['clean']:+.1f} points: goal (at least +3 and not lower) "
                f"{'met' if met else 'not met'}."
            )
    return lines


def _costs(kept: list[dict[str, Any]]) -> list[str]:
    over = [k["overhead"] for k in kept if "overhead" in k]
    lines = [
        f"- Loop without hooks over a bare loop: {median(o['overhead'] for o in over):+.1%} "
        f"processor time, median of {sum(o['pairs'] for o in over):g} pairs (goal: at most +3 %)."
    ] if over else []  # fmt: skip
    for p in next((k["passes"] for k in kept if "passes" in k), []):
        lines.append(
            f"- {p['name']}: {p['forwards']:.2f} passes and {p['backwards']:.2f} ways back of each"
            " row and step (goal: at most one more of each than plain)."
        )
    return lines


def cures(kept: list[dict[str, Any]]) -> str:
    """The section of what `auto` does about planted weaknesses."""
    rows = [r for k in kept for r in k.get("auto", [])]
    lines = [
        "`holdfast harden --recipe auto` on nets with a planted weakness, three seeds.", "",
        "| planted weakness | auto chose | its gate before -> after | better, none broken |",
        "|---|---|---|---|",
    ]  # fmt: skip
    for row in rows:
        first = next(iter(weak.GATES[row["world"]]))
        ends = [row.get(side, {}).get(first, ["-"])[0] for side in ("before", "after")]
        shown = " -> ".join(f"{e:.3f}" if isinstance(e, float) else str(e) for e in ends)
        yes = "yes" if better(row) else "no"
        lines.append(f"| {row['world']} | {row['recipe']} | {first} {shown} | {yes} |")
    return "\n".join([*lines, "", f"{sum(map(better, rows))} of {len(rows)} are cured."])


class Notes:
    """What each seed has given, on disk, and the page that is written from all of them."""

    def __init__(self, seconds: float, seed: int) -> None:
        self.seconds, self.file = seconds, KEPT / f"{seconds:g}-{seed}.json"
        KEPT.mkdir(parents=True, exist_ok=True)
        known = self.file.exists()
        self.done: dict[str, Any] = json.loads(self.file.read_text("utf-8")) if known else {}

    def put(self) -> None:
        """Keep what is known and write the page anew."""
        self.file.write_text(json.dumps(self.done), "utf-8")
        files = sorted(KEPT.glob(f"{self.seconds:g}-*.json"))
        kept = [json.loads(f.read_text("utf-8")) for f in files]
        if any("races" in k or "overhead" in k for k in kept):
            write("Hardening", section(kept, self.seconds))
        if any(k.get("auto") for k in kept):
            write("Hardening by auto", cures(kept))

    def costs(self, seed: int) -> None:
        """Costs of the loop and of optimizers that look twice."""
        if "overhead" not in self.done:
            time_ = min(self.seconds, 20.0)
            self.done |= {"overhead": overhead(seed, time_), "passes": passes()}
            self.put()

    def race(self, data: str, seed: int, tool: str) -> None:
        """One training, unless it was run."""
        races = self.done.setdefault("races", [])
        if all((r["data"], r["tool"]) != (data, tool) for r in races):
            races.append(raced(data, seed, self.seconds, tool))
            self.put()

    def auto(self, seed: int) -> None:
        """All planted weaknesses of a seed."""
        for world in weak.WORLDS:
            if all(r["world"] != world for r in self.done.setdefault("auto", [])):
                self.done["auto"].append(cured(world, seed))
                self.put()


def main() -> None:
    """Train, judge, write; what other seeds gave earlier is kept."""
    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("seconds", nargs="?", type=float, default=SECONDS)
    asked.add_argument("seeds", nargs="*", type=int, default=SEEDS)
    asked.add_argument("--only", action="append", choices=PARTS)
    given = asked.parse_args()
    torch.set_num_threads(1)
    sys.path.insert(0, str(Path(__file__).parent))
    notes = {seed: Notes(given.seconds, seed) for seed in given.seeds}
    only = given.only or PARTS
    known = [d for d in DATA if d != "MNIST" or os.environ.get("HOLDFAST_DATA")]
    first = [*RIVALS, f"holdfast {WANTED[0]}"]
    others = [t for t in tools(0.1) if t not in first]
    if "races" in only:
        for data, seed, tool in product(known[::-1], given.seeds, first):
            notes[seed].race(data, seed, tool)
    for seed in given.seeds if "costs" in only else ():
        notes[seed].costs(seed)
    for seed in given.seeds if "auto" in only else ():
        notes[seed].auto(seed)
    if "races" in only:
        for tool, data, seed in product(others, known, given.seeds):
            notes[seed].race(data, seed, tool)


if __name__ == "__main__":
    main()
