"""`holdfast harden`: train a model against its worst case, and say what that cost."""

from __future__ import annotations

import signal
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from holdfast.cli import asked
from holdfast.cli import options as words
from holdfast.core.errors import ConfigError

if TYPE_CHECKING:
    from torch import nn

    from holdfast.cli.school import School
    from holdfast.core.records import Reading

RECIPES = ("trades", "pgd-at", "ibp", "crown-ibp", "gloro")
_HEAD = 0.1  # of the budget is kept for the second measurement and for writing

CARD = """# {name}

Trained by `holdfast harden` with the recipe `{recipe}` against `{threat}`.

| on {n} held-out rows | before | after |
|---|---|---|
| clean accuracy | {clean_before} | {clean} |
| accuracy under PGD-20 (upper bound, `{threat}`) | {robust_before} | {robust} |

- Starts from: `{source}`
- Data: `{data}`, {learned} rows learned from, {held} held out
- Epochs: {epochs}, seed {seed}
- Repeat: `{command}`
- Judge it on rows that took no part in the training: {audit}
"""


def harden(
    model: Annotated[str, typer.Argument(help="A file of weights, or module:function.")],
    data: Annotated[str, typer.Option(help="Training data; 10 % are held out.")],
    recipe: Annotated[str, typer.Option(help=f"One of {', '.join(RECIPES)}.")] = "trades",
    threat: Annotated[str, typer.Option(help="As linf:8/255.")] = "linf:8/255",
    budget: Annotated[str, typer.Option(help="Time, as 90s or 5m.")] = "5m",
    epochs: Annotated[int, typer.Option(min=1, help="At most so many.")] = 30,
    rate: Annotated[float, typer.Option(min=0.0, help="Learning rate of AdamW.")] = 1e-3,
    half: Annotated[
        bool,
        typer.Option("--half", help="Learn from the half that audits of DATA do not measure."),
    ] = False,
    arch: asked.Arch = None,
    mean: asked.Mean = None,
    std: asked.Std = None,
    target: asked.Target = None,
    trust: asked.Trust = False,
    max_bytes: asked.MaxBytes = None,
    seed: Annotated[int, typer.Option(help="Of every draw.")] = 0,
    output: Annotated[
        str | None, typer.Option("--output", "-o", help="File of the new weights.")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> int:
    """Train a model against its worst case and write the weights with a model card.

    Ten per cent of the rows take no part in the training; what the model gained and lost is
    measured on them. The weights are those of the architecture itself: audit them with the same
    --arch, --mean, --std and --target.
    """
    begun, limit = time.monotonic(), words.seconds(budget)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    words.patient()
    from holdfast.cli.school import enrolled

    if recipe not in RECIPES:
        raise ConfigError(
            f"harden: no recipe {recipe!r}", fix=f"Use {' or '.join(RECIPES)}.", code="E0129"
        )
    chosen: dict[str, Any] = {
        "arch": arch, "mean": mean, "std": std, "target": target, "max_bytes": max_bytes,
        "seed": seed,
    }  # fmt: skip
    place = Path(output or f"{Path(model.rpartition(':')[0] or model).stem}-{recipe}.safetensors")
    if place.exists() and Path(model).is_file() and place.samefile(model):
        raise ConfigError(
            f"harden: {place} is the model itself", fix="-o another.safetensors", code="E0130"
        )
    school = enrolled(model, data, threat, chosen, half=half, trust=trust)
    before = school.measured()
    most = school.affordable(epochs, (limit or 0) * (1 - _HEAD) - 2 * (time.monotonic() - begun))
    left = max((limit or 0) * (1 - _HEAD) - (time.monotonic() - begun), 0.0)
    print(f"  {recipe}: {len(school.learn):,} rows, {most} epochs planned", file=sys.stderr)
    done = _trained(school, recipe, most, rate, left)
    if not done:
        print("  the time was over before one epoch was: raise --budget", file=sys.stderr)
    after = school.measured()
    again = ["holdfast", "harden", model, "--data", data, *(["--half"] if half else [])]
    again += ["--recipe", recipe, "--threat", threat, "--budget", budget, "--epochs", str(most)]
    numbers = _numbers(before, after) | {
        "name": place.stem, "recipe": recipe, "threat": threat, "n": before[0].n, "seed": seed,
        "held": len(school.held), "learned": len(school.learn), "epochs": done, "source": model,
        "data": data, "command": school.line(again),
        "audit": school.audit(place, model, data, half),
    }  # fmt: skip
    _told(_written(school.net, place, numbers), place, numbers, begun, json)
    return 0


def _trained(school: School, recipe: str, epochs: int, rate: float, left: float) -> int:
    """Train until the plan or the time is over; the epochs that were finished."""
    from holdfast.core.catalog import build
    from holdfast.core.dice import Dice
    from holdfast.core.fields import Later
    from holdfast.run.loop import Control

    told = [time.monotonic()]

    def tell(run: Any) -> None:
        if time.monotonic() - told[0] >= 10:
            told[0] = time.monotonic()
            print(f"  epoch {run.epoch}, {run.progress:.0%} of the plan", file=sys.stderr)

    training = build(f"recipe:{recipe}", epochs=epochs, optimizer=Later("torch:AdamW", lr=rate))
    dice = Dice.of(len(school.learn), school.seed, "harden")
    control = Control(deadline=left, progress=tell)
    run = training.against(school.threat)(school.model, school.learn, dice=dice, control=control)
    school.model.eval()
    return int(run.epoch)


def _numbers(before: tuple[Reading, Reading], after: tuple[Reading, Reading]) -> dict[str, Any]:
    """Clean and attacked accuracy, each with its interval."""
    from holdfast.report.numbers import amount, interval

    names = ("clean_before", "robust_before", "clean", "robust")
    return {
        name: f"{amount(r.value, r.unit)} {interval(r.low, r.high, r.unit)}"
        for name, r in zip(names, (*before, *after), strict=True)
    } | {f"{name}_value": r.value for name, r in zip(names, (*before, *after), strict=True)}


def _written(net: nn.Module, place: Path, numbers: dict[str, Any]) -> Path:
    """Weights and model card, each whole or absent."""
    from safetensors.torch import save

    from holdfast.run.writing import write

    state = {k: v.detach().cpu().clone().contiguous() for k, v in net.state_dict().items()}
    write(place, save(state, metadata={"holdfast": numbers["command"]}))
    return write(place.with_suffix(".md"), CARD.format(**numbers))


def _told(card: Path, place: Path, numbers: dict[str, Any], begun: float, json: bool) -> None:
    import json as text

    if json:
        print(text.dumps(numbers | {"weights": str(place), "card": str(card)}, indent=1))
        return
    print(f"clean accuracy  {numbers['clean_before']} -> {numbers['clean']}   n={numbers['n']}")
    print(
        f"under PGD-20    {numbers['robust_before']} -> {numbers['robust']}   "
        f"{numbers['threat']}, upper bound, seed {numbers['seed']}"
    )
    took = time.monotonic() - begun
    print(f"wrote {place} and {card}   ({numbers['epochs']} epochs, {took:.0f} s)")
    print(f"judge it on rows it has not seen:  {numbers['audit']}")
