"""`holdfast shift`: accuracy under every corruption of a suite, level by level, and the mCE."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from holdfast.cli import asked
from holdfast.cli import options as words
from holdfast.core.errors import ConfigError

ASK = "What is tried"
SUITES = ("imagenet-c", "imagenet-c-extra", "mnist-c", "3dcc")
MEDICAL = "medmnist-c"


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
    plugin: asked.Plugin = None,
    allow_network: asked.AllowNetwork = False,
    suite: Annotated[
        str,
        typer.Option(help=f"One of {', '.join(SUITES)}, {MEDICAL}:DATASET.", rich_help_panel=ASK),
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

    Benchmarks that were released corrupted (--data imagenet-c:FOLDER, cifar-10-c, mnist-c ...) are
    measured as they are, and of films (imagenet-p) how often answers flip; no --suite is applied.

    Exit codes: 0 measured, 2 usage, 4 internal, 130 interrupted.
    """
    given = words.given(locals())
    words.patient()
    from holdfast.cli.audit import remembered

    name, chosen = remembered(model, given, "shift")
    if suite not in SUITES and suite.partition(":")[0] != MEDICAL:
        has = ", ".join((*SUITES, f"{MEDICAL}:blood"))
        raise ConfigError(f"--suite: no {suite!r}", fix=f"It has: {has}.")
    told, lines = _asked(name, chosen, trust, suite, errors)
    if json:
        from holdfast.run.writing import canonical

        typer.echo(canonical(told), nl=False)
    else:
        typer.echo("\n".join(lines))
    return 0


def _asked(
    name: str, chosen: dict[str, Any], trust: bool, suite: str, errors: str | None
) -> tuple[dict[str, Any], list[str]]:
    """What is measured, and how it is told."""
    from holdfast.cli import released, shifted
    from holdfast.cli.prepare import looked, subject_of
    from holdfast.readers.published import released as benchmark

    units = shifted.reference_errors(errors)
    shifted.kinds(suite)  # before anything is read
    release = benchmark(str(chosen["data"]))
    if release is not None and (release.family.kinds or release.family.films):
        subject = released.subject_for(release, name, chosen, trust)
        looked(subject)
        told = released.measured(subject, release, chosen, units)
    else:
        subject = subject_of(name, chosen, trust)
        looked(subject)
        told = shifted.measured(subject, suite, units)
    return told, shifted.flips(told) if not told["cells"] else shifted.lines(told)
