"""The trial of a claim: an inequality over several seeds, and bugs under which it must fail."""

from __future__ import annotations

import importlib
import json
import pkgutil
import time
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from holdfast.core.errors import ConfigError
from holdfast.run import writing
from holdfast.run.source import source_digest

Standing = Literal["holds", "does not hold", "out of reach"]


@dataclass(frozen=True)
class Trial:
    """One seed of one claim.

    Args:
        left: the quantity that the claim speaks of.
        right: what it is compared with.
        holds: whether the inequality of the claim is true of the two.
    """

    left: float
    right: float
    holds: bool


@dataclass(frozen=True, kw_only=True)
class Claim:
    """What a paper says, as a small experiment that can fail.

    What comes from no paper of its own (presets, checks, sources) owes a property against truth
    instead, under its own name or under that of its kind.

    Args:
        paper: its key in the bibliography, or a key or kind of the catalogue.
        methods: catalogue keys of what is tried.
        says: the inequality in one sentence.
        left: what the left quantity is, with its unit.
        right: what the right quantity is, with its unit.
        trial: (seed, mutant) -> Trial; the empty mutant is the real method.
        mutants: names of plausible bugs; under each, at least one seed must fail.
        seconds: declared time on two cores for all seeds and mutants.
        seeds: the seeds tried.
        quick: whether it belongs to the quick set.
        known: set to "does not hold" where the claim was tried and failed at this scale; the
            ledger then says so, and a test fails if it ever holds.
        why: the reason, where it does not hold.
    """

    paper: str
    methods: tuple[str, ...]
    says: str
    left: str
    right: str
    trial: Callable[..., Trial]
    mutants: tuple[str, ...]
    seconds: float = 10.0
    seeds: tuple[int, ...] = (0, 1, 2)
    quick: bool = True
    known: Standing = "holds"
    why: str = ""

    def __post_init__(self) -> None:
        if not self.mutants or not self.seeds:
            raise ConfigError(f"claim {self.paper}: needs at least one mutant and one seed",
                              fix="Give mutants={'name': bug} and seeds=(0, 1).")  # fmt: skip


@dataclass(frozen=True)
class Result:
    """What came of a claim.

    Args:
        paper: its key.
        standing: whether the inequality held for every seed.
        caught: mutants under which it failed, as it must.
        missed: mutants that went unnoticed.
        trials: (left, right) of every seed of the real method.
        seconds: time it took, all seeds and mutants.
        source: digest of the claim and of every module it imports.
    """

    paper: str
    standing: Standing
    caught: tuple[str, ...]
    missed: tuple[str, ...]
    trials: tuple[tuple[float, float], ...]
    seconds: float
    source: str

    @property
    def sound(self) -> bool:
        """Whether every mutant was caught: only then does the standing mean anything."""
        return not self.missed


def claims() -> dict[str, Claim]:
    """Every claim by the key of its paper."""
    root = importlib.import_module("holdfast.claims")
    found: dict[str, Claim] = {}
    for module in pkgutil.iter_modules(root.__path__, "holdfast.claims."):
        claim = getattr(importlib.import_module(module.name), "CLAIM", None)
        if isinstance(claim, Claim):
            found[claim.paper] = claim
    return dict(sorted(found.items()))


def source(claim: Claim) -> str:
    """Digest of the claim's file and of all modules of the package that it imports."""
    return source_digest(claim.trial.__module__)


def run(claim: Claim) -> Result:
    """Try a claim: all seeds of the real method, then each mutant until a seed fails."""
    start = time.perf_counter()
    trials = [claim.trial(seed) for seed in claim.seeds]
    caught = tuple(
        m for m in claim.mutants if any(not claim.trial(s, mutant=m).holds for s in claim.seeds)
    )
    standing: Standing = "holds" if all(t.holds for t in trials) else "does not hold"
    return Result(
        claim.paper,
        standing,
        caught,
        tuple(m for m in claim.mutants if m not in caught),
        tuple((t.left, t.right) for t in trials),
        time.perf_counter() - start,
        source(claim),
    )


def ledger_file() -> Path:
    """The committed ledger of a source checkout, or the copy that a wheel carries."""
    checkout = Path(__file__).parents[3] / "docs" / "claims.json"
    return checkout if checkout.parent.is_dir() else Path(__file__).with_name("claims.json")


def ledger() -> dict[str, dict[str, Any]]:
    """The last full run: results by key."""
    file = ledger_file()
    return json.loads(file.read_text("utf-8")) if file.exists() else {}


def stale(known: dict[str, dict[str, Any]] | None = None) -> list[str]:
    """Keys whose claim or method changed since the ledger was written."""
    rows = ledger() if known is None else known
    return [k for k, c in claims().items() if rows.get(k, {}).get("source") != source(c)]


def write(results: Iterable[Result]) -> Path:
    """Enter results into the ledger (JSON and Markdown); other rows stay as they are.

    Several processes may do so at once: each waits until another has written.
    """
    from holdfast.run.keeper import locked  # needs torch, which readers of the ledger do not

    every, file = claims(), ledger_file()
    with locked(file.with_name(".claims.lock")):
        rows = {k: v for k, v in ledger().items() if k in every}
        for result in results:
            row = asdict(result)
            rows[result.paper] = row | {"seconds": round(result.seconds, 1)}
        for key, row in rows.items():  # so that an audit can cite them without the claims
            row["methods"] = list(every[key].methods)
        writing.write(file, json.dumps(rows, indent=1, sort_keys=True) + "\n")
        writing.write(file.with_suffix(".md"), page(rows, every))
    return file


def page(rows: dict[str, dict[str, Any]], every: dict[str, Claim]) -> str:
    """The ledger as a Markdown table."""
    lines = [
        "# Claims",
        "",
        "Written by `make claims`. Each line is an inequality tried over several seeds, and the",
        "named bugs (mutants) under which it failed, as it must.",
        "",
        "| paper | says | left / right, by seed | standing | mutants caught | s |",
        "|---|---|---|---|---|---|",
    ]
    for key, row in sorted(rows.items()):
        claim = every[key]
        pairs = "; ".join(f"{a:.4g} / {b:.4g}" for a, b in row["trials"])
        caught = f"{len(row['caught'])} of {len(claim.mutants)}"
        why = f" ({claim.why})" if claim.why else ""
        lines.append(
            f"| {key} | {claim.says} | {pairs} | {row['standing']}{why} | {caught} "
            f"| {row['seconds']} |"
        )
    return "\n".join(lines) + "\n"
