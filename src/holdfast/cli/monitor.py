"""`holdfast monitor`: does a stream still look like the reference, and if not, what moved?"""

from __future__ import annotations

from typing import Annotated

import typer

from holdfast.cli import asked
from holdfast.cli import options as words
from holdfast.core.errors import ConfigError

ASK, MODEL = "What is asked", "The model, if its answers shall be watched too"
LIMIT = 10_000


def monitor(
    stream: Annotated[
        str, typer.Argument(help="CSV, Parquet or npz, or a folder of them in name order.")
    ],
    reference: Annotated[
        str,
        typer.Option(help="The same columns from before, a file or folder.",
                     rich_help_panel=asked.READ),
    ],
    window: Annotated[
        int | None,
        typer.Option(min=1, help="Cut files into windows of so many rows; else a file is one.",
                     rich_help_panel=asked.READ),
    ] = None,
    ignore: Annotated[
        list[str] | None,
        typer.Option(help="A column to leave out, as an identifier; repeatable.",
                     rich_help_panel=asked.READ),
    ] = None,
    target: Annotated[
        str | None,
        typer.Option(help="Label column: may be absent, is not shown to the model.",
                     rich_help_panel=asked.READ),
    ] = None,
    limit: Annotated[
        int, typer.Option(min=2, help="Look at no more rows of a window, drawn at random.",
                          rich_help_panel=asked.READ)
    ] = LIMIT,
    max_bytes: asked.MaxBytes = None,
    plugin: asked.Plugin = None,
    model: Annotated[
        str | None,
        typer.Option(help="Weights, an ONNX file, or module:function.", rich_help_panel=MODEL),
    ] = None,
    arch: Annotated[
        str | None, typer.Option(help="module:function or file.py:function.",
                                 rich_help_panel=MODEL)
    ] = None,
    mean: Annotated[
        str | None, typer.Option(help="Subtracted inside the model.", rich_help_panel=MODEL)
    ] = None,
    std: Annotated[
        str | None, typer.Option(help="Divided by inside the model.", rich_help_panel=MODEL)
    ] = None,
    trust: Annotated[
        bool, typer.Option("--trust", help="Run code inside the file.", rich_help_panel=MODEL)
    ] = False,
    detector: Annotated[
        str, typer.Option(help="Of novelty; `holdfast list detector`.", rich_help_panel=MODEL)
    ] = "energy",
    alpha: Annotated[
        float, typer.Option(help="Chance of any false alarm in the whole stream.",
                            rich_help_panel=ASK)
    ] = 0.05,
    seen: Annotated[
        int, typer.Option(min=0, help="Windows of this stream that earlier runs looked at.",
                          rich_help_panel=ASK)
    ] = 0,
    seed: Annotated[int, typer.Option(help="Of every draw.", rich_help_panel=ASK)] = 0,
    json: asked.Json = False,
) -> int:  # fmt: skip
    """Compare a stream with a reference, window by window, and name the columns that moved.

    Windows are read one after the other. The chance of any false alarm, in any window about any
    column, is at most --alpha however long the stream gets: window t is tested at alpha/(t(t+1)).
    The reference must be rows that the model has not learned from.

    Exit codes: 0 no drift, 1 drift, 2 usage, 4 internal, 130 interrupted.
    """
    words.patient()
    if not 0 < alpha < 1:
        raise ConfigError(f"--alpha: must lie in (0, 1), got {alpha:g}", fix="Write --alpha 0.05.")
    from holdfast.cli.monitor_lines import lines
    from holdfast.cli.monitored import Source, compared
    from holdfast.cli.plugged import plug

    plug(plugin)
    source = Source(
        stream, reference, window, tuple(ignore or ()), target, limit, max_bytes, seed
    )  # fmt: skip
    given = None
    if model is not None:
        from holdfast.cli.method import chosen_method

        chosen_method("detector", detector, [])
        given = {
            "model": model, "arch": arch, "trust": trust, "detector": detector,
            "mean": words.numbers(mean, "--mean"), "std": words.numbers(std, "--std"),
        }  # fmt: skip
    elif arch or mean or std or trust:
        raise ConfigError("monitor: options of a model, but no model", fix="--model NET.pt")
    told = compared(source, given, alpha=alpha, seen=seen)
    if json:
        from holdfast.run.writing import canonical

        typer.echo(canonical(told), nl=False)
    else:
        typer.echo("\n".join(lines(told)))
    return int(told["verdict"] == "drift")
