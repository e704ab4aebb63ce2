"""What an attack found: as a document, as lines for people, and as a file of tensors."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from holdfast.cli.campaign import Campaign
from holdfast.core.records import Reading, Severity
from holdfast.core.table import table
from holdfast.report.numbers import amount, interval
from holdfast.run.reading import proportion
from holdfast.run.search import attack_name
from holdfast.run.writing import plain

_COLUMNS = ("rows", "broken", "set aside", "forwards", "backwards", "seconds")


def document(found: Campaign, command: str) -> dict[str, Any]:
    """Plain values: the number with all that belongs to it, the ledger, the self-checks."""
    result, n = found.found, len(found.batches)
    stages = [
        {
            "stage": s.name, "rows": s.rows, "broken": s.broken, "set aside": s.aside,
            "forwards": s.forwards, "backwards": s.backwards, "seconds": round(s.seconds, 4),
        }
        for s in result.stages
    ]  # fmt: skip
    about = found.subject.about
    goal = "any other class" if found.towards is None else f"class {_name(found)}"
    return {
        "command": command,
        "attack": table(found.attack),
        "threat": found.threat.spec,
        "goal": goal,
        "seed": found.subject.seed,
        "n": n,
        "robust": plain(_robust(found)),
        "clean": plain(_clean(found)),
        "flags": list(found.flags),
        "self_checks": [
            {"check": c.name, "passed": c.passed, "says": c.says, "repaired by": c.fix}
            for c in found.checks
        ],
        "preflight": [
            {"severity": f.severity.name.lower(), "says": f.says, "advice": f.advice}
            for f in found.preflight
            if f.severity >= Severity.WARNING
        ],
        "not_finite": int((~result.finite).sum()),
        "median_size": plain(_median_size(found)),
        "stages": stages,
        "passes": {"forwards": result.passes.forwards, "backwards": result.passes.backwards},
        "seconds": round(found.seconds, 3),
        "resumed": found.resumed,
        "model": about.get("model", {}).get("digest", ""),
        "data": about.get("data", {}).get("digest", ""),
    }  # fmt: skip


def _robust(found: Campaign) -> Reading:
    """Share of rows that no change turned: an upper bound, with its flags."""
    margin = found.found.margin
    name = attack_name(found.attack).removeprefix("attack:")
    name += "" if found.towards is None else f".towards.{_name(found)}"
    return proportion(
        f"attack.{name}@{found.threat.spec}", int((margin < 0).sum()), len(margin), bound="upper",
        threat=found.threat.spec, seed=found.subject.seed, flags=found.flags,
    )  # fmt: skip


def _clean(found: Campaign) -> Reading:
    """The same without any change: the accuracy, unless a class was aimed at."""
    clean = found.found.clean
    name = "clean.accuracy" if found.towards is None else "clean.elsewhere"
    return proportion(name, int((clean < 0).sum()), len(clean), seed=found.subject.seed)


def _median_size(found: Campaign) -> float | None:
    """Median size, in radii, of the changes that turned a row that was right."""
    won = (found.found.broken & (found.found.clean < 0)).nonzero().flatten()
    if not len(won):
        return None
    size = found.threat.take(won).size(found.x[won], found.found.change[won])
    return float(size.double().median())


def _name(found: Campaign) -> str:
    k, classes = found.towards or 0, found.batches.classes
    return classes[k] if k < len(classes) else str(k)


def lines(told: dict[str, Any]) -> list[str]:
    """For people: the number, why it may be too high, what each stage did."""
    robust, clean, flags = told["robust"], told["clean"], told["flags"]
    doubt = f"   {_failed(len(flags))}: the truth may be lower" if flags else ""
    kind = f"upper bound · n={told['n']} · {told['threat']} · seed {told['seed']}"
    aimed = told["goal"].startswith("class ")
    first = f"Not turned into {told['goal']}" if aimed else "Robust accuracy"
    second = "Without a change" if aimed else "Clean accuracy"
    width = max(len(first), len(second))
    made = [
        f"{first:<{width}}  {_number(robust)}   {kind}{doubt}",
        f"{second:<{width}}  {_number(clean)}   n={told['n']}",
    ]
    made += [f"  ✗ {flag}" for flag in flags]
    if flags:
        made.append("    holdfast audit attacks such a model in a repaired form too.")
    elif told["self_checks"]:
        made.append(f"  ✓ {len(told['self_checks'])} self-checks found no sign that it is too high")
    if told["not_finite"]:
        made.append(f"  ! {told['not_finite']} rows were answered with NaN or infinity")
    made += ["", *_ledger(told)]
    if told["resumed"]:
        made.append(f"went on from an earlier attempt, which had done {told['resumed']:,} rows")
    if told["median_size"] is not None:
        made.append(
            f"the median change that turned a row is {told['median_size']:.3g} times the radius"
        )
    if "written" in told:
        made.append(f"wrote {told['written']['file']}   ({', '.join(told['written']['tensors'])})")
    return made


def _failed(count: int) -> str:
    return f"{count} self-check{'s' if count > 1 else ''} failed"


def _number(reading: dict[str, Any]) -> str:
    part = amount(reading["value"], reading["unit"])
    return f"{part} {interval(reading['low'], reading['high'], reading['unit'])}"


def _ledger(told: dict[str, Any]) -> list[str]:
    """One line for each stage and one for all."""
    stages = told["stages"]
    whole = {"stage": "all", "rows": told["n"], "set aside": None, "broken": None}
    for key in ("broken", "forwards", "backwards", "seconds"):
        whole[key] = sum(s[key] for s in stages)
    first = max(len("stage"), *(len(s["stage"]) for s in stages))
    shown = [s for s in stages if s["forwards"] or s["backwards"] or s["broken"] or s["set aside"]]
    made = [f"{'stage':<{first}}" + "".join(f"{c:>11}" for c in _COLUMNS)]
    for stage in (*shown, whole):
        cells = "".join(f"{_cell(c, stage[c]):>11}" for c in _COLUMNS)
        made.append(f"{stage['stage']:<{first}}{cells}")
    each = (told["passes"]["forwards"] + told["passes"]["backwards"]) / max(told["n"], 1)
    return [*made, f"{each:.1f} passes per row"]


def _cell(column: str, value: float | None) -> str:
    if value is None:
        return ""
    return f"{value:.2f}" if column == "seconds" else f"{value:,}"


def save(found: Campaign, told: dict[str, Any], place: Path) -> dict[str, Any]:
    """Write all that was found, rows in the order of `index`, into a file of safetensors.

    `inputs` is absent where a change does not live in the inputs (weights, latents). `breaker`
    is the position in `stages` of the metadata of what broke the row, -1 where it stands. The
    metadata are plain text, lists and tables as JSON; `units` gives the range that 0 and 1 stand
    for in each column of a table.
    """
    from holdfast import __version__
    from holdfast.run.checkpoint import packed
    from holdfast.run.writing import write

    result, rows = found.found, found.batches
    tensors: dict[str, Tensor | None] = {
        "inputs": _inputs(found), "changes": result.change, "margins": result.margin,
        "clean_margins": result.clean, "labels": rows.y, "index": rows.index, "breaker": result.by,
    }  # fmt: skip
    ready = {k: v.detach().cpu().clone().contiguous() for k, v in tensors.items() if v is not None}
    about = {k: told[k] for k in ("threat", "goal", "seed", "n", "model", "data", "command")}
    about |= {
        "holdfast": __version__, "attack": json.dumps(told["attack"]),
        "robust": json.dumps(told["robust"]), "flags": json.dumps(told["flags"]),
        "stages": json.dumps([s["stage"] for s in told["stages"]]),
        "classes": json.dumps(list(rows.classes)),
        "units": json.dumps(found.subject.about.get("units", [])),
    }  # fmt: skip
    write(place, packed(ready, {k: str(v) for k, v in about.items()}))
    return {"file": str(place), "tensors": list(ready)}


def _inputs(found: Campaign) -> Tensor | None:
    """The changed inputs, where a change is one of the inputs."""
    from holdfast.core.errors import Unsupported

    try:
        with torch.no_grad():
            moved: Any = found.threat.apply(found.x, found.found.change)
    except Unsupported:
        return None
    return moved if isinstance(moved, Tensor) and len(moved) == len(found.batches) else None
