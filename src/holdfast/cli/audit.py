"""`holdfast audit`: any model and any data, one verdict."""

from __future__ import annotations

import shlex
import signal
import sys
from typing import Annotated, Any

import typer

from holdfast.cli import asked
from holdfast.cli import options as words
from holdfast.core.errors import ConfigError

ASK = "What is asked"
WRITE = asked.WRITE


def audit(
    model: asked.Model = None,
    data: asked.Data = None,
    reference: asked.Reference = None,
    arch: asked.Arch = None,
    mean: asked.Mean = None,
    std: asked.Std = None,
    target: asked.Target = None,
    limit: asked.Limit = None,
    trust: asked.Trust = False,
    max_bytes: asked.MaxBytes = None,
    plugin: asked.Plugin = None,
    allow_network: asked.AllowNetwork = False,
    stream: Annotated[
        bool | None,
        typer.Option(
            "--stream/--no-stream",
            show_default=False,
            rich_help_panel=asked.READ,
            help="Read DATA a part at a time; unsaid, shards and what fills memory are.",
        ),
    ] = None,
    profile: Annotated[
        str | None,
        typer.Option(
            help="quick, standard, deep, a suite of holdfast.toml, or a file.toml.",
            rich_help_panel=ASK,
        ),
    ] = None,
    threat: Annotated[
        list[str] | None, typer.Option(help="As linf:8/255; repeatable.", rich_help_panel=ASK)
    ] = None,
    budget: Annotated[
        str | None, typer.Option(help="Time, as 90s or 5m.", rich_help_panel=ASK)
    ] = None,
    dry_run: Annotated[
        bool,
        typer.Option("--dry-run", help="Print plan and cost; run nothing.", rich_help_panel=ASK),
    ] = False,
    seed: Annotated[int | None, typer.Option(help="Of every draw.", rich_help_panel=ASK)] = None,
    against: Annotated[
        str, typer.Option(help="An earlier run, as last, or its folder.", rich_help_panel=ASK)
    ] = "",
    on: Annotated[
        str,
        typer.Option(
            help="here, local:N for N processes, ray:local, ray:auto, slurm.", rich_help_panel=ASK
        ),
    ] = "here",
    fresh: Annotated[
        bool, typer.Option("--fresh", help="Use no finished cells.", rich_help_panel=ASK)
    ] = False,
    json: asked.Json = False,
    open_: Annotated[
        bool, typer.Option("--open", help="Open the report.", rich_help_panel=WRITE)
    ] = False,
    markdown: Annotated[
        str | None, typer.Option(help="Write a summary to this file.", rich_help_panel=WRITE)
    ] = None,
    junit: Annotated[
        str | None, typer.Option(help="Write the gates as JUnit XML.", rich_help_panel=WRITE)
    ] = None,
    sarif: Annotated[
        str | None, typer.Option(help="Write the gates as SARIF.", rich_help_panel=WRITE)
    ] = None,
    github: Annotated[
        bool,
        typer.Option(
            "--github",
            help="Annotate failed gates, as in Actions by itself.",
            rich_help_panel=WRITE,
        ),
    ] = False,
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
    given = words.given(locals())
    from holdfast.cli.began import began
    from holdfast.cli.budget import deadline
    from holdfast.cli.conduct import Outputs, conduct
    from holdfast.cli.dry_run import dry
    from holdfast.cli.opened import opened
    from holdfast.cli.prepare import prepared
    from holdfast.cli.sharded import streams
    from holdfast.cli.streamed import streamed
    from holdfast.cli.unchanged import Seal, repeated, sealable
    from holdfast.run.rates import Rates

    begun = began()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    words.patient()
    limit_s = words.seconds(budget)
    name, chosen = remembered(model, given)
    outputs = Outputs(json, open_, markdown, junit, sarif, exit_zero, github)
    parts, why = streams(chosen, stream)
    # In a process in which other things ran before, they too may have been changed.
    sealed = "torch" not in sys.modules and not (parts or dry_run) and sealable(name, chosen)
    if sealed and not (fresh or against):
        code = repeated(name, chosen, outputs, begun)
        if code is not None:
            return code
    end = deadline(begun, limit_s, Rates.of_machine())
    if why:
        print(f"  {why}", file=sys.stderr)
    lay_out = streamed if parts else prepared
    with opened() as files:
        made = lay_out(name, chosen, trust=trust, on=on, fresh=fresh, look=not dry_run, end=end)
    made.budget, made.against, made.begun, made.outputs = limit_s, against, begun, outputs
    made.seal = Seal(name, chosen, files) if sealed else None
    return dry(made) if dry_run else conduct(made)


def remembered(
    model: str | None, given: dict[str, Any], command: str = "audit"
) -> tuple[str, dict[str, Any]]:
    """The model and its options: the command line, then holdfast.toml, then its last audit.

    Args:
        model: as given.
        given: options as given, None for those that are not.
        command: that asks.

    Raises:
        ConfigError: if no model or no data is known.
    """
    from holdfast.cli.plugged import plug
    from holdfast.run.store import Store

    own = words.project().get("audit", {})
    rows = Store(words.STORE).ledger.runs() if given["data"] is None and "data" not in own else []
    model = model or own.get("model")
    last = next((r for r in reversed(rows) if model in (None, r.options.get("model"))), None)
    before = last.options if last and "data" in last.options else {}
    model = model or before.get("model")
    if not model:
        raise ConfigError(
            f"{command}: which model?",
            fix=f"holdfast {command} MODEL --data DATA", code="E0106",
        )  # fmt: skip
    chosen = dict(words.USUAL)
    for source in (before, own, given):
        chosen |= {k: source[k] for k in words.REMEMBERED if source.get(k) is not None}
    if given.get("allow_network"):  # said each time anew: no earlier run and no file says it
        chosen["allow_network"] = True
    if not chosen.get("data"):
        raise ConfigError(
            f"{command}: on which data shall {model} be asked?",
            fix=f"holdfast {command} {shlex.quote(model)} --data DATA", code="E0107",
        )  # fmt: skip
    for name in ("threat", "plugin"):
        if isinstance(chosen.get(name), str):
            chosen[name] = [chosen[name]]
    plug(chosen.get("plugin"))
    return model, chosen
