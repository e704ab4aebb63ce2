"""One hardening from model to card: planned, trained under watch, written, judged."""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from holdfast.cli.card import settings_of, written
from holdfast.cli.kept import Kept
from holdfast.cli.lesson import Lesson, fed, lesson
from holdfast.cli.one_answer import one_answer
from holdfast.cli.school import School, enrolled
from holdfast.cli.trial import Cost, trial
from holdfast.cli.watching import Teller, Watch, clock
from holdfast.core.catalog import key, resolve
from holdfast.core.dice import Dice
from holdfast.core.digest import digest
from holdfast.run.loop import Control

_HEAD = 0.1  # of the budget is kept for the last measurement and for writing
_GENTLE = 0.01  # rate at which a model that has learned already is changed, where none is asked for
_OFTEN = 200  # steps between checkpoints; each epoch ends with one too


@dataclass(frozen=True, kw_only=True)
class Order:
    """What the user asked for; the fields are the options of the command."""

    model: str
    data: str
    recipe: str
    threat: str
    limit: float
    place: Path
    chosen: dict[str, Any]
    line: list[str]
    begun: float
    epochs: int | None = None
    rate: float | None = None
    half: bool = False
    trust: bool = False
    study: bool = False
    fresh: bool = False


@dataclass
class Taught:
    """What came of it."""

    school: School
    card: dict[str, Any]
    kept: Kept
    files: tuple[Path, ...] = ()


def taught(order: Order) -> Taught:
    """Train, or continue, and write weights and card."""
    school = enrolled(
        order.model, order.data, order.threat, order.chosen, half=order.half, trust=order.trust
    )
    for note in school.notes:
        _say(f"! {note}")
    kept = Kept(order.place, order.fresh)
    made, why = _chosen(order, school, kept)
    made = fed(made, school)
    identity = digest([digest(school.model), key(made.recipe), made.name, school.learn,
                       school.watched, school.threat, school.seed])  # fmt: skip
    kept.claim(identity)
    if "card" in kept.known and order.place.exists():
        _say("trained already; what is left is to judge it")
        return Taught(school, kept.known["card"], kept)
    start = digest(school.net)
    before = school.measured()
    made, cost = _planned(order, school, made, kept)
    run = _trained(order, school, made, kept)
    after = school.measured()
    stuck = one_answer(school)
    for note in stuck:
        _say(f"! {note}")
    school.notes += stuck
    readings = dict(zip(("clean_before", "robust_before", "clean", "robust"),
                        map(vars, (*before, *after)), strict=True))  # fmt: skip
    card = _card(order, school, made, run) | {
        "readings": readings, "digest_before": start, "digest_after": digest(school.net),
        "why": why, "passes": {"forwards": cost.forwards, "backwards": cost.backwards},
    }  # fmt: skip
    files = written(school.net, order.place, card)
    kept.put(card=card)
    return Taught(school, card, kept, files)


def _chosen(order: Order, school: School, kept: Kept) -> tuple[Lesson, str]:
    """The recipe that was named, or the one that the last audit calls for, and why.

    A run that goes on keeps to what it chose: its own audits may be the last ones by now.
    """
    name, why = order.recipe, ""
    if name == "auto":
        from holdfast.cli.prescribe import prescribed

        name, why = kept.known.get("auto") or prescribed(order.model, school)
        kept.known["auto"] = [name, why]
        _say(f"auto: {name}, because {why}")
    made = lesson(name, school.threat, rate=order.rate, epochs=order.epochs, study=order.study)
    if order.rate is None and made.plain and school.trained():
        made = lesson(name, school.threat, rate=_GENTLE, epochs=order.epochs, study=order.study)
        gently = f"at a learning rate of {_GENTLE:g}, for the model has learned already"
        why += f"; {gently}" if why else ""
        _say(f"{order.recipe}: {gently} (--rate changes that)")
    if made.caution:
        _say(f"! {name}: {made.caution}")
    return made, why


def _planned(order: Order, school: School, made: Lesson, kept: Kept) -> tuple[Lesson, Cost]:
    """As many epochs as the time allows, so that the learning rate can fall to its end."""
    if "epochs" in kept.known:
        _say(f"{made.name}: going on where it was stopped, {kept.known['epochs']} epochs planned")
        return made.with_epochs(kept.known["epochs"]), Cost(*kept.known["cost"])
    began = time.monotonic()
    cost = trial(made, school)
    looks = time.monotonic() - began
    most = made.epochs
    if cost.seconds and most:
        left = order.limit * (1 - _HEAD) - (time.monotonic() - order.begun) - looks
        most = int(min(max(left / cost.seconds, 1), most))
    cut = f" of {made.epochs}, for more do not fit into the budget" if most < made.epochs else ""
    per = f"; a row costs {cost.forwards:.3g} passes and {cost.backwards:.3g} ways back"
    each = f"; {clock(cost.seconds * most)} in all" if cost.seconds else ""
    _say(f"{made.name}: {len(school.learn):,} rows, {most} epochs{cut}{per}{each}")
    kept.put(epochs=most, cost=[cost.seconds, cost.forwards, cost.backwards])
    return made.with_epochs(most), cost


def _trained(order: Order, school: School, made: Lesson, kept: Kept) -> Any:
    """Run the recipe until its plan or the time is over; the model ends with its best weights."""
    dice = Dice.of(len(school.learn), school.seed, "harden")
    if not made.watched:
        return made.recipe(school.model, school.learn, dice=dice)
    hooks = tuple(resolve(h) for h in made.recipe.hooks)
    watch = Watch(
        rows=school.watched, threat=school.threat, by="robust" if made.against else "clean",
        since=made.since, seed=school.seed, means=hooks,
    )  # fmt: skip
    plan = replace(made.recipe, hooks=(*hooks, watch))
    gone = kept.known.get("seconds", 0.0) + time.monotonic() - order.begun
    tell = Teller(made.epochs, kept.spent)
    control = Control(
        folder=kept.folder, every=_OFTEN, progress=tell,
        deadline=max(order.limit * (1 - _HEAD) - gone, 0.0),
    )  # fmt: skip
    run = plan(school.model, school.learn, dice=dice, control=control)
    tell.rows(run)
    run.best = run.memory(watch)
    if run.stopped == "deadline":
        _say(f"the budget is spent after {run.progress:.0%} of the plan: the best weights are kept")
    return run


def _card(order: Order, school: School, made: Lesson, run: Any) -> dict[str, Any]:
    best = getattr(run, "best", {})
    return {
        "schema_version": 1, "name": order.place.stem, "recipe": made.name,
        "settings": settings_of(made.recipe), "caution": made.caution, "against": made.against,
        "threat": school.threat.spec, "source": order.model, "data": order.data,
        "data_digest": digest([*school.parts]), "learned": len(school.learn),
        "watched": len(school.watched), "held": len(school.held), "seed": school.seed,
        "epochs": int(run.epoch), "planned": made.epochs or int(run.epoch),
        "best": int(best.get("at", run.epoch - 1)) + 1, "by": "robust" if made.against else "clean",
        "stopped": run.stopped, "history": [dict(row) for row in run.history],
        "notes": list(school.notes), "command": school.line(order.line),
        "audit": school.audit(order.place, order.model, order.data, order.half),
    }  # fmt: skip


def _say(text: str) -> None:
    print(f"  {text}", file=sys.stderr, flush=True)
