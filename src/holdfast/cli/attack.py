"""`holdfast attack`: one attack on a model, its number, its ledger, and what it found."""

from __future__ import annotations

import signal
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from holdfast.cli import asked
from holdfast.cli import options as words
from holdfast.cli.method import chosen_method
from holdfast.core.errors import ConfigError

if TYPE_CHECKING:
    from holdfast.core.kinds import Attack

ASK = "How it is attacked"
WRITE = asked.WRITE


def attack(
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
    json: asked.Json = False,
) -> int:
    """Attack a model: how many rows survive, which stage of the attack broke them, at what cost.

    The number is an upper bound of the true robust accuracy. Self-checks look for signs that it
    is too high; what they find is printed with it. Model, data and settings are read as by
    `holdfast audit`, and the same rows are measured; without --data those of the last audit of
    this model apply. Stopped, the same command goes on where it was.

    Exit codes: 0 measured, 2 usage, 4 internal, 130 interrupted.
    """  # fmt: skip
    given = words.given(locals())
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    words.patient()
    from holdfast.cli.audit import remembered

    name, chosen = remembered(model, given, "attack")
    chosen["threat"] = chosen["threat"][:1]
    place = placed(output, name, chosen["data"])
    method, aim = cast("Attack", chosen_method("attack", attack_, set_ or [])), towards

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

    from holdfast.cli.said import given

    kept = [k for k in words.REMEMBERED if k != "profile"]
    line = ["holdfast", "attack", model, *given(chosen | {"threat": None}, kept)]
    line += ["--threat", chosen["threat"][0], "--attack", name]
    line += [word for value in values for word in ("--set", value)]
    return shlex.join([*line, *(["--towards", towards] if towards else [])])
