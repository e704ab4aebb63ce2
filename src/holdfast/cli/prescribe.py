"""`--recipe auto`: which recipe the findings of the last audit call for, by a table."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

from holdfast.cli.branded import hardened
from holdfast.cli.few_rows import is_group, rare_class, slices, uneven_groups
from holdfast.cli.lesson import TEMPERATURE
from holdfast.cli.odd_labels import odd_labels
from holdfast.cli.remedies import (
    AGAIN,
    COSTLY,
    FRESH,
    GROUPED,
    NOISY,
    RARE,
    SPURIOUS,
    TABLE,
    Remedy,
)
from holdfast.core.errors import ConfigError

if TYPE_CHECKING:
    from holdfast.cli.school import School

_NOISY = 0.05  # share of odd labels worth acting on
_GAP = 0.1  # how far a slice lies below all rows, with its whole interval


def prescribed(model: str, school: School) -> tuple[str, str]:
    """The recipe for the weakest point of a model, and why.

    Wrong labels come first, for every other number rests on them; then the gate that is missed
    by most, as a share of its limit; among those that only default gates ask for, proofs come
    last. A weakness for which the catalogue has nothing is passed over.

    Raises:
        ConfigError: without an audit, or where nothing in the catalogue helps.
    """
    results = last_results(model)
    doubt = odd_labels(school)
    found = weaknesses(results)
    if doubt > _NOISY:
        says = f"{doubt:.0%} of the labels contradict most of their neighbours"
        found = [(NOISY, says), *found]
    for known, says in found:
        remedy = _fitting(known, results, school, model)
        name = available(remedy.recipes)
        if name:
            return name, f"{remedy.weakness} ({says}); {remedy.why}"
    if found:
        raise ConfigError(
            f"harden: no recipe of the catalogue is for this: {found[0][0].weakness}",
            fix="Name one: --recipe NAME.", code="E0149",
        )  # fmt: skip
    return TABLE[0].recipes[-1], "its last audit shows no weakness, so its worst case may grow"


def last_results(model: str) -> dict[str, Any]:
    """The document of the last audit of a model.

    Raises:
        ConfigError: if there is none in this folder.
    """
    from holdfast.cli import options as words
    from holdfast.run.store import Store

    store = Store(words.STORE)
    for row in reversed(store.ledger.runs()):
        if row.options.get("model") == model and (store.folder(row.id) / "results.json").is_file():
            return store.results(row.id)
    raise ConfigError(
        f"harden: auto rests on the last audit of {model}, and there is none in this folder",
        fix=f"holdfast audit {model} --data DATA, or name a recipe: --recipe trades", code="E0148",
    )  # fmt: skip


def available(names: Iterable[str]) -> str:
    """The first of some recipes that is in the catalogue and not known to be broken."""
    from holdfast.core.catalog import entries

    sound = {e.name for e in entries("recipe") if not e.caution} | {TEMPERATURE}
    return next((name for name in names if name in sound), "")


def weaknesses(results: Mapping[str, Any]) -> list[tuple[Remedy, str]]:
    """What an audit found wrong, the worst first, each with the number that says so."""
    default = results.get("gates_from") == "default"
    ranked: list[tuple[tuple[float, ...], Remedy, str]] = []
    for gate in results["gates"]:
        remedy = _for(gate["name"], results)
        if remedy is None or gate["verdict"] not in ("fail", "undecided") or gate["value"] is None:
            continue
        short = _short(gate)
        last = default and remedy is TABLE[1]
        sign = f"{gate['name']} is {gate['value']:.3g}, wanted {gate['relation']} {gate['limit']:g}"
        open_ = gate["verdict"] == "undecided"
        ranked.append(((float(open_), float(last), -short), remedy, sign))
    gap = _class_gap(results)
    if gap is not None:
        ranked.append(((0.0, 0.0, -gap[0]), gap[1], gap[2]))
    ranked.sort(key=lambda row: row[0])
    return [(remedy, sign) for _, remedy, sign in ranked]


def _for(name: str, results: Mapping[str, Any]) -> Remedy | None:
    own = next((r for r in TABLE if any(fnmatchcase(name, p) for p in r.readings)), None)
    if name in COSTLY.readings and _holds(results):
        return COSTLY
    return SPURIOUS if own is TABLE[2] and _by_group(results) else own


def _fitting(remedy: Remedy, results: Mapping[str, Any], school: School, model: str) -> Remedy:
    """A closer remedy: by what the net has learned so far, or by who is served worst."""
    if remedy is SPURIOUS and uneven_groups(school):
        return GROUPED
    if remedy is TABLE[0] and not school.trained():
        return FRESH
    if remedy is TABLE[0] and hardened(model):
        return AGAIN
    return RARE if remedy is TABLE[2] and rare_class(school, results) else remedy


def _holds(results: Mapping[str, Any]) -> bool:
    """Whether the gates that ask about attacks are there and all pass."""
    said = [g["verdict"] for g in results["gates"] if fnmatchcase(g["name"], TABLE[0].readings[0])]
    return bool(said) and set(said) == {"pass"}


def _by_group(results: Mapping[str, Any]) -> bool:
    """Whether some group lies clearly below all rows: its classes are known, its scenes are not."""
    return any(row["high"] < row["before"] for row in slices(results) if is_group(row))


def _short(gate: Mapping[str, Any]) -> float:
    """By how much a gate is missed, as a share of the way from its limit to the worst value."""
    value, limit = float(gate["value"]), float(gate["limit"])
    if gate["relation"] in (">", ">="):
        return (limit - value) / max(abs(limit), 1e-9)
    return (value - limit) / max(1 - limit, 1e-9) if limit < 1 else value / limit - 1


def _class_gap(results: Mapping[str, Any]) -> tuple[float, Remedy, str] | None:
    """How far the worst slice lies below all rows, where its whole interval does, and its remedy.

    A class is served worse; a group is a class in other surroundings, as behind a background.
    """
    from holdfast.cli.diff import readings

    known = readings(results)
    worst, every = known.get("clean.worst_class"), known.get("clean.accuracy")
    if worst is None or every is None or None in (worst["high"], every["value"]):
        return None
    gap = every["value"] - worst["high"]
    if not math.isfinite(gap) or gap <= _GAP:
        return None
    remedy = SPURIOUS if _by_group(results) else TABLE[2]
    return gap, remedy, f"the worst slice has {worst['value']:.1%}, all rows {every['value']:.1%}"
