"""`holdfast attack`: one attack on a model, its number, its ledger, and what it found."""

from __future__ import annotations

import signal
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from holdfast.cli import options as words
from holdfast.core.errors import ConfigError

if TYPE_CHECKING:
    from holdfast.core.kinds import Attack

READ = "What is attacked"
ASK = "How it is attacked"
WRITE = "What is written"


def attack(
    model: Annotated[
        str | None, typer.Argument(help="A file of weights, or module:function.")
    ] = None,
    data: Annotated[
        str | None,
        typer.Option(help="Folder, file, digits, or module:function.", rich_help_panel=READ),
    ] = None,
    reference: Annotated[
        str | None,
        typer.Option(
            help="Training data; without it half of DATA stays out.", rich_help_panel=READ
        ),
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
    max_bytes: Annotated[
        int | None,
        typer.Option(min=1, help="Unpack no file to more; 4 GiB.", rich_help_panel=READ),
    ] = None,
    attack_: Annotated[
        str, typer.Option("--attack", help="As pgd; `holdfast list attack`.", rich_help_panel=ASK)
    ] = "ensemble",
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", help="A setting, as steps=100; repeatable.", rich_help_panel=ASK),
    ] = None,
    threat: Annotated[
        str | None, typer.Option(help="As linf:8/255 (the usual one).", rich_help_panel=ASK)
    ] = None,
    towards: Annotated[
        str | None,
        typer.Option(help="The class that rows shall be turned into.", rich_help_panel=ASK),
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Of every draw.", rich_help_panel=ASK)] = None,
    on: Annotated[
        str, typer.Option(help="here, or local:N: N processes.", rich_help_panel=ASK)
    ] = "here",
    output: Annotated[
        str | None,
        typer.Option(
            "--output", "-o", help="A .safetensors of all that was found.", rich_help_panel=WRITE
        ),
    ] = None,
    json: Annotated[
        bool, typer.Option("--json", help="Print one JSON document.", rich_help_panel=WRITE)
    ] = False,
) -> int:
    """Attack a model: how many rows survive, which stage of the attack broke them, at what cost.

    The number is an upper bound of the true robust accuracy. Self-checks look for signs that it
    is too high; what they find is printed with it. Model, data and settings are read as by
    `holdfast audit`, and the same rows are measured; without --data those of the last audit of
    this model apply. Stopped, the same command goes on where it was.

    Exit codes: 0 measured, 2 usage, 4 internal, 130 interrupted.
    """  # fmt: skip
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    words.patient()
    from holdfast.cli.audit import remembered

    given = {
        "data": data, "reference": reference, "threat": [threat] if threat else None,
        "limit": limit, "arch": arch, "mean": mean, "std": std, "target": target, "seed": seed,
        "max_bytes": max_bytes,
    }  # fmt: skip
    name, chosen = remembered(model, given, "attack")
    chosen["threat"] = chosen["threat"][:1]
    place = placed(output, name, chosen["data"])
    method, aim = chosen_attack(attack_, set_ or []), towards

    from holdfast.cli.campaign import campaign
    from holdfast.cli.prepare import executor_of, looked, subject_of
    from holdfast.cli.tally import document, lines, save
    from holdfast.run.store import Store

    make = partial(subject_of, name, chosen, trust)
    crew, asked, kept = executor_of(on, make), make(), Store(words.STORE).pieces
    found = campaign(asked, method, aim, looked(asked), pieces=kept, executor=crew, quiet=json)
    line = command(name, chosen, attack_, set_ or [], towards)
    told = document(found, line)
    if place is not None:
        told["written"] = save(found, told, place)
    if json:
        from holdfast.run.writing import canonical

        typer.echo(canonical(told), nl=False)
    else:
        typer.echo("\n".join(lines(told)))
    return 0


def chosen_attack(name: str, values: list[str]) -> Attack:
    """The attack of that name with its settings.

    Raises:
        ConfigError: for an unknown name, an unknown setting, or a value out of range.
    """
    import json
    from dataclasses import fields
    from difflib import get_close_matches

    from holdfast.core.catalog import build, entries, resolve
    from holdfast.core.nearest import nearest

    short = name.removeprefix("attack:")
    known = [e.name for e in entries("attack")]
    if short not in known:
        near = [
            k.partition(":")[2] for k in nearest(f"attack:{short}", (f"attack:{k}" for k in known))
        ]
        fix = f"Did you mean --attack {near[0]}?" if near else "See: holdfast list attack"
        raise ConfigError(f"attack: there is no attack {short!r}", fix=fix, code="E0154")
    settings: dict[str, Any] = {}
    for text in values:
        key, sign, value = text.partition("=")
        if not sign or not key.isidentifier():
            raise ConfigError(f"--set: cannot read {text!r}", fix="Write --set steps=100.",
                              code="E0150")  # fmt: skip
        try:
            settings[key] = json.loads(value)
        except ValueError:  # a word, as in climb=margin
            settings[key] = value
    own = {f.name for f in fields(resolve(f"attack:{short}"))}
    if unknown := [key for key in settings if key not in own]:
        near = get_close_matches(unknown[0], own, 1)
        has = f"Did you mean --set {near[0]}=...?" if near else f"It has: {', '.join(sorted(own))}."
        raise ConfigError(f"--set: {short} has no setting {unknown[0]!r}", fix=has, code="E0155")
    return cast("Attack", build(f"attack:{short}", **settings))


def placed(output: str | None, model: str, data: str) -> Path | None:
    """Where the findings go.

    Raises:
        ConfigError: if that is the model or the data.
    """
    if output is None:
        return None
    place = Path(output)
    for source in (model, data):
        if place.exists() and Path(source).is_file() and place.samefile(source):
            raise ConfigError(
                f"attack: {place} is what is to be attacked", fix="-o another.safetensors",
                code="E0151",
            )  # fmt: skip
    return place


def command(
    model: str, chosen: dict[str, Any], name: str, values: list[str], towards: str | None
) -> str:
    """The command line that repeats this attack."""
    import shlex

    from holdfast.cli.prepare import given

    kept = [k for k in words.REMEMBERED if k != "profile"]
    line = ["holdfast", "attack", model, *given(chosen | {"threat": None}, kept)]
    line += ["--threat", chosen["threat"][0], "--attack", name]
    line += [word for value in values for word in ("--set", value)]
    return shlex.join([*line, *(["--towards", towards] if towards else [])])
