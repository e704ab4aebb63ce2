"""What `holdfast certify` answers: a document, and lines for people."""

from __future__ import annotations

from typing import Any

from holdfast.cli.certified import Answer
from holdfast.cli.proved import document
from holdfast.report.numbers import amount, interval, plain

# What is tighter and dearer; only boxes and balls can be divided.
TIGHTER = {
    "certifier:ibp": "crown", "certifier:lipschitz": "crown", "certifier:crown": "alpha",
    "certifier:alpha-crown": "bab", "certifier:sdp": "bab",
}  # fmt: skip


def answered(answer: Answer, command: str, sigma: float | None) -> dict[str, Any]:
    """Plain values: the bounds with all that belongs to them, counts, what was spent.

    Args:
        answer: what was found.
        command: the command line that repeats it.
        sigma: of the noise, None without.
    """
    found, told = answer.found, document(answer.found)
    what, said = found.bracket, found.said
    broken, wrong = int(what.broken.sum()), int((what.attacked.clean >= 0).sum())
    proved, mass = int(what.certified.sum()), said.mass if said else 1.0
    counts = {
        "proved": proved, "open": told["n"] - proved - broken, "broken": broken - wrong,
        "wrong": wrong,
    }  # fmt: skip
    return told | {
        "command": command, "counts": counts, "sigma": sigma, "copies": round(answer.copies, 1),
        "mass": mass, "held": int(said.proved.sum()) if said and mass < 1 else None,
    }  # fmt: skip


def lines(told: dict[str, Any]) -> list[str]:
    """For people: what is proved, what stands, what is open, and what would be tighter."""
    n, counts, spec = told["n"], told["counts"], told["threat"]
    about = "the model behind noise" if told["sigma"] else "the model"
    rows = [
        ("Proved", _number(told["proved"]), "lower bound",
         f"{counts['proved']} of {n} rows: no change within {spec} turns {about}"),
        ("Standing", _number(told["standing"]), "upper bound",
         f"what attack:pgd leaves, having turned {counts['broken']}"),
        ("Clean accuracy", _number(told["clean"]), "estimate", "without a change"),
    ]  # fmt: skip
    wide = max(len(row[1]) for row in rows)
    made = [f"{a:<15} {b:<{wide}}  {c:<11}  {d}" for a, b, c, d in rows]
    some = "1 row is" if counts["open"] == 1 else f"{counts['open']} rows are"
    made.append(f"{'Open':<15} {some} neither proved nor broken{_next(told)}")
    made += [f"  {line}" for line in _more(told)]
    made += [f"  ! {note}" for note in told["notes"]]
    each = told["seconds"] / max(n, 1) * 1e3
    made.append(
        f"{told['name']} · n={n} · {spec} · seed {told['seed']} · 95 % intervals over rows · "
        f"{told['seconds']:.1f} s, {plain(each)} ms a row with the attack"
    )
    if "written" in told:
        made.append(f"wrote {told['written']}")
    return made


def _more(told: dict[str, Any]) -> list[str]:
    """Witnesses, noise, radii, and what holds for a part of the changes only."""
    made = []
    if told["witnesses"]:
        made.append(f"✓ {told['witnesses']} proved rows were attacked all the same, in vain")
    if told["confidence"] < 1:
        made.append(f"each row holds with probability {told['confidence']:g}")
    if told["sigma"]:
        made.append(f"noise of {told['sigma']:g}, {told['copies']:,.0f} noisy copies a row")
    if told["held"] is not None:
        part = 1 - told["mass"]
        made.append(f"! {told['held']} rows hold for all but a share of {part:.3g} of the changes: "
                    "that is no proof, and not counted")  # fmt: skip
    if told["radius"] and told["name"] != "certifier:smoothing-sequential":  # it asks about one
        known = ", ".join(f"{k} {v:.4g}" for k, v in told["radius"].items())
        made.append(f"proved radius ({told['threat'].partition(':')[0]}), over all rows: {known}")
    return made


def _next(told: dict[str, Any]) -> str:
    """What to do about rows that stay open."""
    if not told["counts"]["open"]:
        return ": the bounds meet"
    better = TIGHTER.get(told["name"])
    if told["sigma"]:
        return f": more copies, as --set samples={max(10_000, round(10 * told['copies']))}"
    if better == "bab" and not told["threat"].startswith(("linf:", "l1:", "l2:")):
        better = None
    if better:
        return f": --method {better} is tighter"
    return ": more time, as --set seconds=300" if told["name"] == "certifier:beta-crown" else ""


def _number(reading: dict[str, Any]) -> str:
    part = amount(reading["value"], reading["unit"])
    return f"{part:>6} {interval(reading['low'], reading['high'], reading['unit'])}"
