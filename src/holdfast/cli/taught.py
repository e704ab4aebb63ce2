"""One hardening from model to card: planned, trained under watch, written, judged."""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from holdfast.cli import company
from holdfast.cli.card import facts, written
from holdfast.cli.kept import Kept
from holdfast.cli.lesson import Lesson, fed, lesson
from holdfast.cli.one_answer import one_answer
from holdfast.cli.school import School, enrolled
from holdfast.cli.teachers import Teacher, hired, missed, taught_by
from holdfast.cli.trial import Cost, trial
from holdfast.cli.watching import Teller, Watch, clock
from holdfast.core.catalog import key, resolve
from holdfast.core.dice import Dice
from holdfast.core.digest import digest
from holdfast.core.errors import ConfigError
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
    teachers: tuple[str, ...] = ()


@dataclass
class Taught:
    """What came of it."""

    school: School
    card: dict[str, Any]
    kept: Kept
    files: tuple[Path, ...] = ()


def taught(order: Order) -> Taught:
    """Train, or continue, and write weights and card."""
    school = company.alike(partial(
        enrolled, order.model, order.data, order.threat, order.chosen, half=order.half,
        trust=order.trust,
    ))  # fmt: skip
    for note in school.notes:
        _say(f"! {note}")
    kept = Kept(order.place, order.fresh)
    teachers = company.alike(partial(hired, order.teachers, school, order.trust))
    made, why = _chosen(order, school, kept, teachers)
    company.alike(partial(kept.claim, _identity(school, made)))
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
    card = facts(order, school, made, run) | {
        "readings": readings, "digest_before": start, "digest_after": digest(school.net),
        "why": why, "teachers": [t.about for t in teachers],
        "passes": {"forwards": cost.forwards, "backwards": cost.backwards},
    }  # fmt: skip
    files = written(school.net, order.place, card) if company.first() else ()
    kept.put(card=card)
    return Taught(school, card, kept, files)


def _identity(school: School, made: Lesson) -> str:
    """What a run must have in common with one that it continues."""
    return digest([digest(school.model), key(made.recipe), made.name, school.learn,
                   school.watched, school.threat, school.seed])  # fmt: skip


def _chosen(
    order: Order, school: School, kept: Kept, teachers: tuple[Teacher, ...]
) -> tuple[Lesson, str]:
    """The recipe that was named, or the one that the last audit calls for, and why.

    A run that goes on keeps to what it chose: its own audits may be the last ones by now.
    """
    name, why = order.recipe, ""
    if name == "auto":
        from holdfast.cli.prescribe import prescribed

        name, why = kept.known.get("auto") or company.told(partial(prescribed, order.model, school))
        kept.known["auto"] = [name, why]
        _say(f"auto: {name}, because {why}")
    named = partial(lesson, name, school.threat, epochs=order.epochs, study=order.study)
    made = company.alike(partial(named, rate=order.rate))
    if order.rate is None and made.plain and school.trained():
        made = named(rate=_GENTLE)
        gently = f"at a learning rate of {_GENTLE:g}, for the model has learned already"
        why += f"; {gently}" if why else ""
        _say(f"{order.recipe}: {gently} (--rate changes that)")
    if made.caution:
        _say(f"! {name}: {made.caution}")
    size = min(school.learn.size, len(school.learn))
    note = company.alike(partial(company.shared, name, made.recipe, size, watched=made.watched))
    if note:
        _say(f"! {note}")
    made = company.alike(partial(taught_by, made, teachers))
    return fed(made, school), why


def _planned(order: Order, school: School, made: Lesson, kept: Kept) -> tuple[Lesson, Cost]:
    """As many epochs as the time allows, so that the learning rate can fall to its end."""
    if "epochs" in kept.known:
        _say(f"{made.name}: going on where it was stopped, {kept.known['epochs']} epochs planned")
        return made.with_epochs(kept.known["epochs"]), Cost(*kept.known["cost"])
    began = time.monotonic()
    try:
        cost = trial(made, school)
    except ConfigError as error:
        raise missed(made, error) from error
    looks = time.monotonic() - began
    most = made.epochs
    if cost.seconds and most:
        left = order.limit * (1 - _HEAD) - (time.monotonic() - order.begun) - looks
        most = int(min(max(left / cost.seconds, 1), most))
    most, cost = company.told(lambda: (most, cost))
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
    with company.Heed() as heed:

        def after(run: Any) -> bool:
            tell(run)
            return heed.asked()

        control = Control(
            folder=kept.folder, every=_OFTEN, progress=after,
            deadline=max(order.limit * (1 - _HEAD) - gone, 0.0),
        )  # fmt: skip
        run = plan(school.model, school.learn, dice=dice, control=control)
    if heed.raised:
        raise KeyboardInterrupt
    tell.rows(run)
    run.best = run.memory(watch)
    if run.stopped == "deadline":
        _say(f"the budget is spent after {run.progress:.0%} of the plan: the best weights are kept")
    return run


def _say(text: str) -> None:
    print(f"  {text}", file=sys.stderr, flush=True)
