"""Between the command line and the audit: read, look before leaping, forecast, lay out."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from holdfast.cli import options as words
from holdfast.cli.said import command, given

if TYPE_CHECKING:
    from holdfast.cli.conduct import Audit
    from holdfast.core.data import Batches
    from holdfast.core.records import Finding, Subject
    from holdfast.readers import ReadModel
    from holdfast.run.executors import Executor
    from holdfast.run.store import Store
    from holdfast.run.suite import Suite

# They hold weights, but cannot be saved as weights again that --arch reads.
_PROGRAMS = ("torchscript", "pt2", "huggingface")
_READ_ALIKE = ("arch", "mean", "std", "target", "max_bytes", "seed", "plugin")


def subject_of(model: str, chosen: dict[str, Any], trust: bool = False) -> Subject:
    """Read model and data; a module-level function, so that other processes can repeat it."""
    from holdfast.cli.plugged import plug
    from holdfast.readers import read_data, subject
    from holdfast.readers.archive import MAX_BYTES
    from holdfast.readers.published import released
    from holdfast.threats.grammar import parse

    plug(chosen.get("plugin"))  # in a process beside this one nobody else does it
    threats = tuple(parse(text) for text in chosen["threat"])
    most = chosen.get("max_bytes") or MAX_BYTES
    target, seed, limit = chosen.get("target"), chosen["seed"], chosen.get("limit")
    drawn = None  # of a benchmark nothing is decoded that is not needed; half of it may stay out
    if limit is not None and released(str(chosen["data"])) is not None:
        drawn = limit if chosen.get("reference") else 2 * limit
    rows = read_data(chosen["data"], target=target, limit=drawn, seed=seed, max_bytes=most)
    trusted = None
    if chosen.get("reference"):
        trusted = read_data(chosen["reference"], target=target, seed=seed, max_bytes=most)
    read = model_of(model, chosen, rows, trust)
    asked: Subject = subject(read, rows, reference=trusted, threats=threats, seed=seed, limit=limit)
    return asked


def model_of(model: str, chosen: dict[str, Any], rows: Batches, trust: bool = False) -> ReadModel:
    """Read a model for some rows."""
    from holdfast.readers import read_model
    from holdfast.readers.archive import MAX_BYTES
    from holdfast.readers.origin import origin

    found: ReadModel = read_model(
        model, arch=chosen.get("arch"), trust=trust,
        mean=words.numbers(chosen.get("mean"), "--mean"),
        std=words.numbers(chosen.get("std"), "--std"),
        shape=words.shape(rows.x), classes=len(origin(rows).known or rows.classes) or None,
        max_bytes=chosen.get("max_bytes") or MAX_BYTES, trial=False,
        network=bool(chosen.get("allow_network")),
    )  # fmt: skip
    return found


def prepared(
    model: str, chosen: dict[str, Any], *, trust: bool, on: str, fresh: bool = False,
    look: bool = True, end: float | None = None,
) -> Audit:  # fmt: skip
    """Read, look before leaping (until the time is over), and lay out the audit."""
    from functools import partial

    from holdfast.cli.branded import warned
    from holdfast.cli.budget import looked_until
    from holdfast.cli.conduct import Audit
    from holdfast.run.accepted import accepted_of
    from holdfast.run.store import Store
    from holdfast.suites import load

    accepted = accepted_of(words.project().get("accepted"))
    suite = load(chosen["profile"], words.project().get("suite"))
    gates = words.gates()
    executor = executor_of(on, partial(subject_of, model, chosen, trust))
    asked = subject_of(model, chosen, trust)
    store = Store(words.STORE)
    found = (*warned(model), *(looked_until(end, asked, store, fresh) if look else ()))
    return Audit(
        asked, suite, store, words.stem(model),
        command(model, chosen), gates, preflight=found, options={"model": model} | chosen,
        harden=remedies(model, chosen, asked), executor=executor, fresh=fresh,
        accepted=accepted,
    )  # fmt: skip


def executor_of(on: str, make: Callable[[], Subject]) -> Executor | None:
    """Who works beside this process; None for nobody.

    Args:
        on: `here`, `local:N`, other machines, or an executor of a plugin.
        make: builds the subject in another process.

    Raises:
        ConfigError: for anything else.
    """
    from holdfast.cli.places import elsewhere
    from holdfast.run.executors import Local
    from holdfast.run.plugins import asked_for

    if on == "here":
        return None
    if (own := asked_for("executor", on)) is not None:
        return own(make)  # type: ignore[no-any-return]
    kind, _, count = on.partition(":")
    if kind != "local" or not count.isdigit() or not int(count):
        return elsewhere(on, make)
    return Local(int(count), make)


def remedies(model: str, chosen: dict[str, Any], asked: Subject) -> dict[str, str]:
    """For each threat the command that trains this model against it; empty where none can.

    Trained on is the reference, or else the half of the data on which nothing is measured, so
    that the next audit with the same data judges the hardened model on rows it has not seen.
    """
    kind = asked.about.get("model", {}).get("kind", "")
    if kind in _PROGRAMS or asked.trusted is None or not trainable(asked.model):
        return {}
    reference = chosen.get("reference")
    rows = ["--data", reference] if reference else ["--data", chosen["data"], "--half"]
    more = given(chosen, _READ_ALIKE)
    return {
        t.spec: shlex.join(
            ["holdfast", "harden", model, *rows, "--recipe", "trades", "--threat", t.spec, *more]
        )
        for t in asked.threats
    }


def trainable(model: Any) -> bool:
    """Whether a model is a module with weights that gradients can move."""
    from torch import jit, nn

    if not isinstance(model, nn.Module) or isinstance(model, jit.ScriptModule):
        return False
    return any(p.requires_grad and p.is_floating_point() for p in model.parameters())


def looked(asked: Subject, store: Store | None = None, fresh: bool = False) -> tuple[Finding, ...]:
    """Preflight: what is wrong with the question itself, said before anything runs.

    Raises:
        ShapeError: if the model does not take the rows at all.
    """
    from functools import partial

    from holdfast.core.records import Severity
    from holdfast.readers.model import tried
    from holdfast.run.cells import Cells
    from holdfast.run.looked import looked as look

    cells, first = None if store is None else Cells(store.cells), None
    rows, name = asked.batches, str(asked.about.get("name", "model"))
    if asked.model is not None and rows is not None and (form := words.shape(rows.x)) is not None:
        first = partial(tried, asked.model, form, len(rows.classes) or None, name)
    found = tuple(look(asked, cells, resume=not fresh, first=first))
    for finding in found:
        mark = {Severity.FAILURE: "✗", Severity.WARNING: "!"}.get(finding.severity)
        mark = "·" if finding.says == asked.about.get("reading") else mark
        if mark:
            print(f"  {mark} {finding.says}", file=sys.stderr)
            if finding.advice:
                print(f"    {finding.advice}", file=sys.stderr)
    return found


def foreseen(asked: Subject, suite: Suite) -> str:
    """What is about to be asked and what one row costs on this machine, before work begins."""
    from holdfast.run.preflight import forecast

    here = len(asked.batches) if asked.batches is not None else 0
    rows = max(here, int(asked.about.get("data", {}).get("n") or 0))  # a stream shows a few of them
    try:
        cost = forecast(asked)
    except Exception:  # whatever the user's code raises; the preflight has said it
        return ""
    there, back = (f"{1e3 * s:.3g} ms" for s in (cost.forward, cost.backward))
    return (
        f"plan: {suite.name}, {len(suite.checks)} checks on {rows:,} rows; a row takes {there}, "
        f"{back} with its gradient and {cost.memory / 1e6:.2g} MB"
    )
