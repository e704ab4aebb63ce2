"""`holdfast audit`: any model and any data, one verdict."""

from __future__ import annotations

import shlex
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from holdfast.cli import options as words
from holdfast.core.errors import ConfigError

if TYPE_CHECKING:
    from holdfast.core.records import Finding, Subject

READ = "What is audited"
ASK = "What is asked"
WRITE = "What is written"
STORE = ".holdfast"
_REMEMBERED = (
    "data", "reference", "profile", "threat", "limit", "arch", "mean", "std", "target", "seed",
)  # fmt: skip
_LATER = {"profile": "standard", "threat": ["linf:8/255"], "seed": 0}


def audit(
    model: Annotated[
        str | None, typer.Argument(help="A file of weights, or module:function.")
    ] = None,
    data: Annotated[
        str | None,
        typer.Option(help="Folder, file, digits, or module:function.", rich_help_panel=READ),
    ] = None,
    reference: Annotated[
        str | None, typer.Option(help="Training or calibration data.", rich_help_panel=READ)
    ] = None,
    arch: Annotated[
        str | None, typer.Option(help="module:function or file.py:function.", rich_help_panel=READ)
    ] = None,
    mean: Annotated[
        str | None, typer.Option(help="Subtracted inside the model.", rich_help_panel=READ)
    ] = None,
    std: Annotated[
        str | None, typer.Option(help="Divided by inside the model.", rich_help_panel=READ)
    ] = None,
    target: Annotated[
        str | None, typer.Option(help="Label column of a table.", rich_help_panel=READ)
    ] = None,
    limit: Annotated[
        int | None, typer.Option(min=1, help="At most so many rows.", rich_help_panel=READ)
    ] = None,
    trust: Annotated[
        bool, typer.Option("--trust", help="Run code inside the file.", rich_help_panel=READ)
    ] = False,
    profile: Annotated[
        str | None,
        typer.Option(help="quick, standard, deep or a .toml file.", rich_help_panel=ASK),
    ] = None,
    threat: Annotated[
        list[str] | None, typer.Option(help="As linf:8/255; repeatable.", rich_help_panel=ASK)
    ] = None,
    budget: Annotated[
        str | None, typer.Option(help="Time, as 90s or 5m.", rich_help_panel=ASK)
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Of every draw.", rich_help_panel=ASK)] = None,
    against: Annotated[
        str, typer.Option(help="An earlier run, as last.", rich_help_panel=ASK)
    ] = "",
    on: Annotated[
        str, typer.Option(help="here, or local:N for N processes.", rich_help_panel=ASK)
    ] = "here",
    fresh: Annotated[
        bool, typer.Option("--fresh", help="Use no finished cells.", rich_help_panel=ASK)
    ] = False,
    json: Annotated[
        bool, typer.Option("--json", help="Print one JSON document.", rich_help_panel=WRITE)
    ] = False,
    open_: Annotated[
        bool, typer.Option("--open", help="Open the report.", rich_help_panel=WRITE)
    ] = False,
    markdown: Annotated[str | None, typer.Option(rich_help_panel=WRITE)] = None,
    junit: Annotated[str | None, typer.Option(rich_help_panel=WRITE)] = None,
    sarif: Annotated[str | None, typer.Option(rich_help_panel=WRITE)] = None,
    exit_zero: Annotated[
        bool,
        typer.Option("--exit-zero", help="End with 0 whatever the verdict.", rich_help_panel=WRITE),
    ] = False,
) -> int:
    """Audit a model: how it breaks, how far it provably holds, and whether it passes its gates.

    The same command again continues and never repeats a finished cell. Without --data the
    options of holdfast.toml, or of the last audit of this model, apply.

    Exit codes: 0 pass, 1 a gate fails, 2 usage, 3 undecided, 4 internal, 130 interrupted.
    """
    from holdfast.cli.conduct import Outputs, conduct

    given = {
        "data": data, "reference": reference, "profile": profile, "threat": threat or None,
        "limit": limit, "arch": arch, "mean": mean, "std": std, "target": target, "seed": seed,
    }  # fmt: skip
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    name, chosen = remembered(model, given)
    made = prepared(name, chosen, trust=trust, on=on)
    made.budget, made.against, made.fresh = words.seconds(budget), against, fresh
    made.outputs = Outputs(json, open_, markdown, junit, sarif, exit_zero)
    return conduct(made)


def remembered(model: str | None, given: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    """The model and its options: the command line, then holdfast.toml, then its last audit.

    Raises:
        ConfigError: if no model or no data is known.
    """
    from holdfast.run.store import Store

    own = words.project().get("audit", {})
    rows = Store(STORE).ledger.runs() if given["data"] is None and "data" not in own else []
    model = model or own.get("model")
    last = next((r for r in reversed(rows) if model in (None, r.options.get("model"))), None)
    before = last.options if last and "data" in last.options else {}
    model = model or before.get("model")
    if not model:
        raise ConfigError(
            "audit: which model?", fix="holdfast audit MODEL --data DATA", code="E0106"
        )
    chosen = dict(_LATER)
    for source in (before, own, given):
        chosen |= {k: source[k] for k in _REMEMBERED if source.get(k) is not None}
    if not chosen.get("data"):
        raise ConfigError(
            f"audit: on which data shall {model} be asked?",
            fix=f"holdfast audit {shlex.quote(model)} --data DATA", code="E0107",
        )  # fmt: skip
    if isinstance(chosen["threat"], str):
        chosen["threat"] = [chosen["threat"]]
    return model, chosen


def command(model: str, chosen: dict[str, Any]) -> str:
    """The command line that repeats an audit."""
    line = ["holdfast", "audit", model]
    for key in _REMEMBERED:
        value = chosen.get(key)
        if value is None or value == _LATER.get(key):
            continue
        for each in value if isinstance(value, list) else [value]:
            line += [f"--{key}", str(each)]
    return shlex.join(line)


def subject_of(model: str, chosen: dict[str, Any], trust: bool = False) -> Subject:
    """Read model and data; a module-level function, so that other processes can repeat it."""
    from holdfast.readers import read_data, read_model, subject
    from holdfast.threats.grammar import parse

    threats = tuple(parse(text) for text in chosen["threat"])
    read = read_model(
        model, arch=chosen.get("arch"), trust=trust,
        mean=words.numbers(chosen.get("mean"), "--mean"),
        std=words.numbers(chosen.get("std"), "--std"),
    )  # fmt: skip
    target, seed = chosen.get("target"), chosen["seed"]
    rows = read_data(chosen["data"], target=target, seed=seed)
    trusted = None
    if chosen.get("reference"):
        trusted = read_data(chosen["reference"], target=target, seed=seed)
    asked: Subject = subject(
        read, rows, reference=trusted, threats=threats, seed=seed, limit=chosen.get("limit")
    )
    return asked


def prepared(model: str, chosen: dict[str, Any], *, trust: bool, on: str) -> Any:
    """Read, look before leaping, and lay out the audit."""
    from functools import partial

    from holdfast.cli.conduct import Audit
    from holdfast.run.executors import Local
    from holdfast.run.store import Store
    from holdfast.suites import load

    suite = load(chosen["profile"])
    gates = words.gates()
    asked = subject_of(model, chosen, trust)
    found = looked(asked)
    executor = None
    if on != "here":
        kind, _, count = on.partition(":")
        if kind != "local" or not count.isdigit() or not int(count):
            raise ConfigError(f"--on: cannot read {on!r}", fix="Write local:2.", code="E0108")
        executor = Local(int(count), partial(subject_of, model, chosen, trust))
    harden = (
        shlex.join(
            ["holdfast", "harden", model, "--data", chosen["reference"], "--recipe", "trades"]
            + (["--arch", chosen["arch"]] if chosen.get("arch") else [])
        )
        if chosen.get("reference")
        else ""
    )
    return Audit(
        asked, suite, Store(STORE), Path(model.partition(":")[0]).stem, command(model, chosen),
        gates, preflight=found, options={"model": model} | chosen, harden=harden, executor=executor,
    )  # fmt: skip


def looked(asked: Subject) -> tuple[Finding, ...]:
    """Preflight: what is wrong with the question itself, said before anything runs."""
    from holdfast.core.records import Severity
    from holdfast.run.preflight import preflight

    found = tuple(preflight(asked))
    for finding in found:
        mark = {Severity.FAILURE: "✗", Severity.WARNING: "!"}.get(finding.severity)
        if mark:
            print(f"  {mark} {finding.says}", file=sys.stderr)
            if finding.advice:
                print(f"    {finding.advice}", file=sys.stderr)
    return found
