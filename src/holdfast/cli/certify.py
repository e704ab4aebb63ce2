"""`holdfast certify`: how far a model provably holds, row by row."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Annotated, Any

import typer

from holdfast.cli import asked
from holdfast.cli import options as words
from holdfast.core.errors import ConfigError

ASK, WRITE = "What is proved", asked.WRITE
SHORT = {"alpha": "alpha-crown", "bab": "beta-crown"}


def certify(
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
    threat: Annotated[
        str | None, typer.Option(help="As linf:2/255 (the usual one).", rich_help_panel=ASK)
    ] = None,
    method: Annotated[
        str,
        typer.Option(
            help="ibp, crown, alpha, bab, smoothing ...; `holdfast list certifier`.",
            rich_help_panel=ASK,
        ),
    ] = "crown",
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", help="A setting, as steps=50; repeatable.", rich_help_panel=ASK),
    ] = None,
    sigma: Annotated[
        float | None,
        typer.Option(
            min=0.0, help="Certify the model behind such noise; smoothing needs it.",
            rich_help_panel=ASK,
        ),
    ] = None,
    radii: Annotated[
        bool,
        typer.Option(
            "--radii", help="Also find the largest share of the radius that is proved.",
            rich_help_panel=ASK,
        ),
    ] = False,
    seed: Annotated[int | None, typer.Option(help="Of every draw.", rich_help_panel=ASK)] = None,
    output: Annotated[
        str | None,
        typer.Option(
            "--output", "-o", help="A .safetensors with the bound of every row.",
            rich_help_panel=WRITE,
        ),
    ] = None,
    json: asked.Json = False,
) -> int:  # fmt: skip
    """Prove rows of a model: on how many of them no admissible change can win.

    The number is a lower bound of the true robust accuracy. What is not proved is attacked, and a
    share of what is proved too: an attack that wins there ends with both witnesses. Model, data
    and settings are read as by `holdfast audit`, and the same rows are asked about.
    From cheap to tight: ibp, crown, alpha, bab; smoothing certifies the model behind noise.
    Stopped, the same command goes on where it was.

    Exit codes: 0 measured, 2 usage, 4 internal, 130 interrupted.
    """
    given = words.given(locals())
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    words.patient()
    from holdfast.cli.audit import remembered
    from holdfast.cli.method import chosen_method

    name, chosen = remembered(model, given, "certify")
    chosen["threat"] = chosen["threat"][:1]
    for source in (name, chosen["data"]):
        if output is not None and Path(output).exists() and Path(source).is_file():
            if Path(output).samefile(source):
                raise ConfigError(f"certify: {output} is what is read", fix="-o bounds.safetensors",
                                  code="E0158")  # fmt: skip
    known = SHORT.get(method, method)
    certifier = chosen_method("certifier", known, set_ or [], option="--method", also=SHORT)
    called = known.removeprefix("certifier:")
    from holdfast.cli.certificate import answered, lines
    from holdfast.cli.certified import agreed, certified
    from holdfast.cli.prepare import looked, subject_of
    from holdfast.cli.proved import save
    from holdfast.run.store import Store

    agreed(called, sigma)
    asked = subject_of(name, chosen, trust)
    looked(asked)
    answer = certified(
        asked, certifier, called, sigma=sigma, radii=radii, quiet=json,
        pieces=Store(words.STORE).pieces,
    )  # fmt: skip
    told = answered(answer, command(name, chosen, method, set_ or [], sigma, radii), sigma)
    if output is not None:
        told["written"] = save(answer.found, told, Path(output))
    if json:
        from holdfast.run.writing import canonical

        typer.echo(canonical(told), nl=False)
    else:
        typer.echo("\n".join(lines(told)))
    return 0


def command(
    model: str, chosen: dict[str, Any], method: str, values: list[str], sigma: float | None,
    radii: bool,
) -> str:  # fmt: skip
    """The command line that repeats this certificate."""
    import shlex

    from holdfast.cli.said import given

    kept = [k for k in words.REMEMBERED if k != "profile"]
    line = ["holdfast", "certify", model, *given(chosen | {"threat": None}, kept)]
    line += ["--threat", chosen["threat"][0], "--method", method]
    line += [word for value in values for word in ("--set", value)]
    line += ["--sigma", f"{sigma:g}"] if sigma else []
    return shlex.join([*line, *(["--radii"] if radii else [])])
