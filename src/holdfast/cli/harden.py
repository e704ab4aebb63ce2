"""`holdfast harden`: train a model so that it holds, and prove that it does."""

from __future__ import annotations

import json as text
import os
import signal
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from holdfast.cli import asked
from holdfast.cli import options as words
from holdfast.core.errors import ConfigError

if TYPE_CHECKING:
    from holdfast.cli.taught import Order, Taught

HOW = "How it is trained"
_FELL = 0.1  # loss of clean accuracy, between the intervals, that calls for a smaller rate


def harden(
    model: Annotated[str, typer.Argument(help="A file of weights, or module:function.")],
    data: Annotated[str, typer.Option(help="Training data; a fifth is held out.")],
    recipe: Annotated[
        str,
        typer.Option(
            help="Of `holdfast list recipe`, objective:NAME, module:name, or auto.",
            rich_help_panel=HOW,
        ),
    ] = "trades",
    threat: Annotated[str, typer.Option(help="As linf:8/255.", rich_help_panel=HOW)] = "linf:8/255",
    budget: Annotated[str, typer.Option(help="Time, as 90s or 5m.", rich_help_panel=HOW)] = "5m",
    epochs: Annotated[
        int | None, typer.Option(min=1, help="Instead of the recipe's own.", rich_help_panel=HOW)
    ] = None,
    rate: Annotated[
        float | None,
        typer.Option(min=0.0, help="Learning rate instead of the recipe's.", rich_help_panel=HOW),
    ] = None,
    teacher: Annotated[
        list[str] | None,
        typer.Option(help="A model to learn from; repeatable.", rich_help_panel=HOW),
    ] = None,
    half: Annotated[
        bool,
        typer.Option("--half", help="Learn from the half that audits of DATA do not measure."),
    ] = False,
    for_study: Annotated[
        bool, typer.Option("--for-study", help="Run a recipe that is known to be broken.")
    ] = False,
    no_audit: Annotated[
        bool, typer.Option("--no-audit", help="Do not audit the model before and after.")
    ] = False,
    fresh: Annotated[
        bool, typer.Option("--fresh", help="Do not go on where a run was stopped.")
    ] = False,
    arch: asked.Arch = None,
    mean: asked.Mean = None,
    std: asked.Std = None,
    target: asked.Target = None,
    trust: asked.Trust = False,
    max_bytes: asked.MaxBytes = None,
    plugin: asked.Plugin = None,
    seed: Annotated[int, typer.Option(help="Of every draw.")] = 0,
    output: Annotated[
        str | None, typer.Option("--output", "-o", help="File of the new weights.")
    ] = None,
    json: asked.Json = False,
) -> int:
    """Train a model so that it holds, and write weights, a model card and what has changed.

    A tenth of the rows chooses the best epoch, and another one, which takes no part at all, says
    what was gained and lost. The same command again goes on where it was stopped or killed. The
    weights are those of the architecture itself: audit them with the same --arch, --mean, --std
    and --target. With --recipe auto the last audit of this model decides what is trained. Under
    torchrun several processes train one model, as one process would, and one of them writes.
    """
    begun, limit = time.monotonic(), words.seconds(budget) or 0.0
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    words.patient()
    from holdfast.cli.plugged import plug
    from holdfast.cli.taught import Order

    plug(plugin)
    chosen: dict[str, Any] = {
        "arch": arch, "mean": mean, "std": std, "target": target, "max_bytes": max_bytes,
        "seed": seed, "plugin": plugin or None,
    }  # fmt: skip
    line = [*_program(), "harden", model, "--data", data, *(["--half"] if half else [])]
    line += ["--recipe", recipe, "--threat", threat, "--budget", budget]
    line += ["--for-study"] if for_study else []
    line += [] if epochs is None else ["--epochs", str(epochs)]
    line += [] if rate is None else ["--rate", str(rate)]
    line += [word for each in teacher or () for word in ("--teacher", each)]
    line += [] if output is None else ["--output", output]
    order = Order(
        model=model, data=data, recipe=recipe, threat=threat, limit=limit, chosen=chosen,
        place=_place(model, recipe, output), line=line, begun=begun, epochs=epochs, rate=rate,
        half=half, trust=trust, study=for_study, fresh=fresh, teachers=tuple(teacher or ()),
    )  # fmt: skip
    code, made = _together(order)
    return code if made is None else _judged(order, made, no_audit=no_audit, json=json)


def _together(order: Order) -> tuple[int, Taught | None]:
    """Train, beside others where torchrun has started them; one of them goes on alone.

    Returns:
        The exit code, and what came of it in the process that goes on.
    """
    from holdfast.cli import company
    from holdfast.cli.taught import taught

    first = True
    try:
        with company.joined():
            first = company.first()
            made = taught(order)
    except company.Elsewhere:
        return 2, None
    except KeyboardInterrupt:
        if first:
            raise
        return 130, None
    return 0, made if first else None


def _judged(order: Order, made: Taught, *, no_audit: bool, json: bool) -> int:
    changed = None
    if not json:
        _told(made, order.place)
    if not no_audit:
        from holdfast.cli.reaudit import reaudited

        changed = reaudited(order, made.school, quiet=json)
    made.kept.remove()
    if json:
        files = {"weights": str(order.place), "card": str(order.place.with_suffix(".md"))}
        print(text.dumps(_flat(made.card) | files | {"audit_changes": changed}, indent=1))
    return 0


def _program() -> list[str]:
    """The words before those of the command: how this process, or the group of it, was called."""
    world = int(os.environ.get("WORLD_SIZE", "1"))
    if world < 2 or "RANK" not in os.environ:
        return ["holdfast"]
    return ["torchrun", "--nproc-per-node", str(world), "-m", "holdfast"]


def _place(model: str, recipe: str, output: str | None) -> Path:
    """Where the weights go; never over the model itself."""
    stem = Path(model.rpartition(":")[0] or model).stem
    place = Path(output or f"{stem}-{recipe.rpartition(':')[2]}.safetensors")
    if place.exists() and Path(model).is_file() and place.samefile(model):
        raise ConfigError(
            f"harden: {place} is the model itself", fix="-o another.safetensors", code="E0130"
        )
    return place


def _flat(card: dict[str, Any]) -> dict[str, Any]:
    """The card with the four numbers by name, as scripts like them."""
    from holdfast.run.writing import plain

    values = {f"{name}_value": r["value"] for name, r in card["readings"].items()}
    return plain(card | values | {"n": card["readings"]["clean"]["n"]})  # type: ignore[no-any-return]


def _told(made: Taught, place: Path) -> None:
    from holdfast.report.numbers import amount, interval

    card, shown = made.card, {}
    for name, r in card["readings"].items():
        shown[name] = f"{amount(r['value'], r['unit'])} {interval(r['low'], r['high'], r['unit'])}"
    n = card["readings"]["clean"]["n"]
    print(f"clean accuracy  {shown['clean_before']} -> {shown['clean']}   n={n}")
    print(
        f"under PGD-20    {shown['robust_before']} -> {shown['robust']}   "
        f"{card['threat']}, upper bound, seed {card['seed']}"
    )
    fell = card["readings"]["clean_before"]["low"] - card["readings"]["clean"]["high"]
    if fell > _FELL:
        print("the recipe has undone what the model knew: try a smaller rate, as --rate 0.01")
    print(f"wrote {place}, {place.with_suffix('.md').name} and {place.with_suffix('.json').name}")
    print(f"judge it on rows it has not seen:  {card['audit']}")
