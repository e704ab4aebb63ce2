"""`holdfast shift`: accuracy under every corruption of a suite, level by level, and the mCE."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from holdfast.cli import asked
from holdfast.cli import options as words
from holdfast.core.errors import ConfigError

ASK = "What is tried"
SUITES = ("imagenet-c", "imagenet-c-extra", "mnist-c")


def shift(
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
    suite: Annotated[
        str, typer.Option(help=f"One of {', '.join(SUITES)}.", rich_help_panel=ASK)
    ] = "imagenet-c",
    errors: Annotated[
        str | None,
        typer.Option(
            help="JSON of a reference's error by kind and clean; or alexnet.", rich_help_panel=ASK
        ),
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Of every draw.", rich_help_panel=ASK)] = None,
    json: asked.Json = False,
) -> int:
    """Change the images as weather, sensors and compression do: accuracy by kind and severity.

    The mean corruption error (mCE) is in units of a reference model's errors; those of AlexNet
    on ImageNet-C are known (--errors alexnet) and mean something for models of ImageNet only.

    Exit codes: 0 measured, 2 usage, 4 internal, 130 interrupted.
    """
    given = words.given(locals())
    words.patient()
    from holdfast.cli.audit import remembered

    name, chosen = remembered(model, given, "shift")
    if suite not in SUITES:
        raise ConfigError(f"--suite: no {suite!r}", fix=f"It has: {', '.join(SUITES)}.")
    from holdfast.cli.prepare import looked, subject_of
    from holdfast.cli.shifted import lines, measured, reference_errors

    units = reference_errors(errors)
    subject = subject_of(name, chosen, trust)
    looked(subject)
    told: dict[str, Any] = measured(subject, suite, units)
    if json:
        from holdfast.run.writing import canonical

        typer.echo(canonical(told), nl=False)
    else:
        typer.echo("\n".join(lines(told)))
    return 0
