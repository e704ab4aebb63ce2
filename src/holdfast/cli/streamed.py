"""An audit of a data set that never is in memory: `holdfast audit MODEL --data SHARDS --stream`."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from holdfast.cli import options as words
from holdfast.core.errors import ConfigError

if TYPE_CHECKING:
    from holdfast.cli.conduct import Audit
    from holdfast.core.data import Batches
    from holdfast.core.kinds import Check
    from holdfast.core.records import Subject
    from holdfast.readers.shards import Shards

LOOKED = 8  # places at which a look is taken before anything runs
EACH = 64  # rows looked at in each of them


def streamed(
    model: str, chosen: dict[str, Any], *, trust: bool, on: str, fresh: bool = False,
    look: bool = True, end: float | None = None,
) -> Audit:  # fmt: skip
    """Look at the shards (until the time is over), read the model, and lay out the audit.

    Raises:
        ConfigError: with --limit or --reference, which mean nothing here.
    """
    from holdfast.cli.budget import looked_until
    from holdfast.cli.conduct import Audit
    from holdfast.cli.prepare import executor_of
    from holdfast.cli.said import command
    from holdfast.run.accepted import accepted_of
    from holdfast.run.store import Store
    from holdfast.suites import load

    for name in ("limit", "reference"):
        if chosen.get(name):
            raise ConfigError(
                f"--stream asks all rows of DATA, and takes no --{name}",
                fix=f"Leave --{name} out, or leave --stream out.", code="E0199",
            )  # fmt: skip
    suite = load(chosen["profile"], words.project().get("suite"))
    gates, source = words.gates(), source_of(chosen)
    asked = subject_of(model, chosen, trust, source)
    executor = executor_of(on, partial(subject_of, model, chosen, trust))
    store = Store(words.STORE)
    found = looked_until(end, asked, store, fresh) if look else ()
    swept = replace(suite, name=f"{suite.name} streamed", checks=checks(suite.checks, source))
    line = f"{command(model, chosen)} --stream"
    return Audit(
        asked, swept, store, words.stem(model), line, gates, preflight=found,
        options={"model": model} | chosen, executor=executor, fresh=fresh,
        accepted=accepted_of(words.project().get("accepted")),
    )  # fmt: skip


def source_of(chosen: dict[str, Any]) -> Shards:
    """The shards that --data names."""
    from holdfast.readers.shards import shards

    return shards(chosen["data"], chosen.get("target"), f"{words.STORE}/rows")


def subject_of(
    model: str, chosen: dict[str, Any], trust: bool, source: Shards | None = None
) -> Subject:
    """The model and a few rows to look at; at module level, so that workers can repeat it."""
    from holdfast.cli.prepare import model_of
    from holdfast.core.records import Subject
    from holdfast.threats.grammar import parse

    source = source or source_of(chosen)
    rows = few(source)
    read = model_of(model, chosen, rows, trust)
    data = {
        "name": source.name, "digest": source.seal, "n": len(source), "n_reference": 0,
        "shape": list(words.shape(rows.x) or ()), "classes": [],
    }  # fmt: skip
    identity = {k: read.about[k] for k in ("digest", "parameters", "kind")}
    return Subject(
        model=read.model, batches=rows, make=read.make, seed=chosen["seed"],
        threats=tuple(parse(text) for text in chosen["threat"]),
        about={"name": read.about["name"], "model": identity, "sampled": False, "data": data},
    )  # fmt: skip


def few(source: Shards) -> Batches:
    """Some rows from several places of all shards, which are often sorted by class."""
    import torch

    parts = list(source.parts())
    steps = range(0, len(parts), -(-len(parts) // LOOKED))
    read = [source.read(replace(parts[k], count=min(EACH, parts[k].count))) for k in steps]
    x, y, index = (torch.cat([getattr(b, name) for b in read]) for name in ("x", "y", "index"))
    return replace(read[0], x=x, y=y, index=index)


def checks(usual: tuple[Check, ...], source: Shards) -> tuple[Check, ...]:
    """The questions of a suite, asked part by part; those that cannot be say so."""
    return tuple(_swept(check, source) for check in usual)


def kept(audit: Audit) -> dict[str, Any]:
    """Which folders of `.holdfast/rows` hold the rows of an audit, for its `run.json`."""
    if not audit.suite.name.endswith(" streamed"):
        return {}
    from holdfast.checks.swept import Swept
    from holdfast.run.plan import name_of

    every = [c for c in audit.suite.checks if isinstance(c, Swept)]
    return {"rows": {name_of(c): c.key(audit.subject) for c in every}}


def _swept(check: Check, source: Shards) -> Check:
    """A question part by part, under its usual name."""
    from holdfast.checks.swept import SweptClean, SweptSlices, named
    from holdfast.checks.swept_calibration import SweptCalibration
    from holdfast.checks.swept_changes import SweptCorruptions, SweptWorst, holding
    from holdfast.run.plan import name_of

    own: Any = check
    name = name_of(check).partition(":")[2]
    if name == "clean":
        return named(SweptClean(source=source, alpha=own.alpha), name)
    if name == "slices":
        return named(SweptSlices(source=source, alpha=own.alpha), name)
    if name == "calibration":
        asked = SweptCalibration(source=source, alpha=own.alpha, bins=own.bins)
        return named(asked, name)
    if name == "corruptions" and not own.shifts:
        kinds = SweptCorruptions(source=source, alpha=own.alpha, severities=own.severities)
        return named(kinds, name)
    if name == "worst-case":
        return named(SweptWorst(source=source, alpha=own.alpha, attacks=own.attacks), name)
    return holding(check)
