"""`holdfast harden`: train a model against its worst case, and say what that cost."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from torch import Tensor

    from holdfast.core.data import Batches


def split(rows: Batches, share: float, seed: int) -> tuple[Batches, Batches]:
    """Rows to learn from and rows held out, `share` of each class, drawn from the seed."""
    import torch

    from holdfast.core.dice import Dice

    kept = torch.zeros(len(rows), dtype=torch.bool)
    order = torch.randperm(len(rows), generator=Dice.of(1, seed, "harden").generator("split"))
    for label in rows.y.unique():
        own = order[rows.y[order] == label]
        kept[own[: max(1, round(share * len(own)))]] = True
    return rows.take((~kept).nonzero().flatten()), rows.take(kept.nonzero().flatten())


def measured(model: Any, rows: Batches, threat: Any) -> tuple[float, float]:
    """Clean accuracy and accuracy under PGD (an upper bound of the robust one), on at most 500."""
    import torch

    from holdfast.core.catalog import build
    from holdfast.core.dice import Dice
    from holdfast.core.goal import Untargeted
    from holdfast.run.search import search

    some = rows.take(slice(0, 500))
    x: Any = some.x
    with torch.no_grad():
        clean: Tensor = Untargeted(some.y)(model(x)) < 0
    dice = Dice(0, some.index, "harden")
    attack = build("attack:pgd", steps=20)
    found = search(attack, model, x, Untargeted(some.y), threat, dice=dice)
    return float(clean.float().mean()), float((~found.broken).float().mean())


CARD = """# {name}

Trained by `holdfast harden` with the recipe `{recipe}` against `{threat}`.

| | before | after |
|---|---|---|
| clean accuracy, {n} held-out rows | {clean_before:.1%} | {clean:.1%} |
| accuracy under PGD-20, an upper bound | {robust_before:.1%} | {robust:.1%} |

- Starts from: `{source}`
- Data: `{data}`, {learned} rows learned from, {n} rows held out
- Epochs: {epochs}, seed {seed}
- Repeat: `{command}`
- Judge it with `holdfast audit` on data that took no part in the training.
"""


def harden(
    model: Annotated[str, typer.Argument(help="A file of weights, or module:function.")],
    data: Annotated[str, typer.Option(help="Training data; 10 % are held out.")],
    recipe: Annotated[str, typer.Option(help="pgd-at or trades.")] = "trades",
    threat: Annotated[str, typer.Option(help="As linf:8/255.")] = "linf:8/255",
    budget: Annotated[str, typer.Option(help="Time, as 90s or 5m.")] = "5m",
    epochs: Annotated[int, typer.Option(min=1, help="At most so many.")] = 30,
    rate: Annotated[float, typer.Option(min=0.0, help="Learning rate of AdamW.")] = 1e-3,
    arch: Annotated[str | None, typer.Option(help="module:function or file.py:function.")] = None,
    mean: Annotated[str | None, typer.Option(help="Subtracted inside the model.")] = None,
    std: Annotated[str | None, typer.Option(help="Divided by inside the model.")] = None,
    target: Annotated[str | None, typer.Option(help="Label column of a table.")] = None,
    trust: Annotated[bool, typer.Option("--trust", help="Run code inside the file.")] = False,
    seed: Annotated[int, typer.Option(help="Of every draw.")] = 0,
    output: Annotated[
        str | None, typer.Option("--output", "-o", help="File of the new weights.")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> int:
    """Train a model against its worst case and write the weights with a model card.

    Ten per cent of the rows take no part in the training; what the model gained and lost is
    measured on them.
    """
    import json as text

    from holdfast.cli import options as words
    from holdfast.core.catalog import build
    from holdfast.core.dice import Dice
    from holdfast.core.errors import ConfigError
    from holdfast.core.fields import Later
    from holdfast.core.quiet import modules_of
    from holdfast.readers import read_data, read_model
    from holdfast.threats.grammar import parse

    limit = words.seconds(budget)
    if recipe not in ("pgd-at", "trades"):
        raise ConfigError(
            f"harden: no recipe {recipe!r}", fix="Use trades or pgd-at.", code="E0115"
        )
    read = read_model(
        model, arch=arch, trust=trust, mean=words.numbers(mean, "--mean"),
        std=words.numbers(std, "--std"),
    )  # fmt: skip
    found = modules_of(read.model)
    if len(found) != 1:
        raise ConfigError(f"harden: {model} has no weights to train", fix="Give a torch module.")
    net, against = found[0], parse(threat)
    learn, held = split(read_data(data, target=target, seed=seed), 0.1, seed)
    before = measured(read.model, held, against)
    begun = time.monotonic()
    training = build(f"recipe:{recipe}", epochs=epochs, optimizer=Later("torch:AdamW", lr=rate))
    run = training.against(against)(
        net, learn, dice=Dice.of(len(learn), seed, "harden"), control=_control(limit, begun)
    )
    net.eval()
    after = measured(read.model, held, against)
    stem = Path(model.partition(":")[0]).stem
    place = Path(output or f"{stem}-{recipe}.safetensors")
    numbers = {
        "name": place.stem, "recipe": recipe, "threat": threat, "n": min(len(held), 500),
        "learned": len(learn), "epochs": run.epoch, "seed": seed, "source": model, "data": data,
        "clean_before": before[0], "clean": after[0], "robust_before": before[1],
        "robust": after[1], "command": _command(model, data, recipe, threat, budget, arch, seed),
    }  # fmt: skip
    written = _write(net, place, numbers)
    if json:
        print(text.dumps(numbers | {"weights": str(place), "card": str(written)}, indent=1))
        return 0
    print(f"clean accuracy  {before[0]:.1%} -> {after[0]:.1%}   held-out rows: {numbers['n']}")
    print(f"under PGD-20    {before[1]:.1%} -> {after[1]:.1%}   {threat}, upper bound")
    print(f"wrote {place} and {written}   ({run.epoch} epochs, {time.monotonic() - begun:.0f} s)")
    return 0


def _control(limit: float | None, begun: float) -> Any:
    """A deadline, and one line every ten seconds on the error stream."""
    from holdfast.run.loop import Control

    told = [begun]

    def tell(run: Any) -> None:
        if time.monotonic() - told[0] >= 10:
            told[0] = time.monotonic()
            print(f"  epoch {run.epoch}, {run.progress:.0%} of the plan", file=sys.stderr)

    return Control(deadline=limit, progress=tell)


def _command(*values: Any) -> str:
    import shlex

    model, data, recipe, threat, budget, arch, seed = values
    line = ["holdfast", "harden", model, "--data", data, "--recipe", recipe, "--threat", threat]
    line += ["--budget", budget, *(["--arch", arch] if arch else []), "--seed", str(seed)]
    return shlex.join(line)


def _write(net: Any, place: Path, numbers: dict[str, Any]) -> Path:
    """Weights and model card, each whole or absent."""
    from safetensors.torch import save

    from holdfast.run.writing import write

    state = {k: v.detach().cpu().contiguous() for k, v in net.state_dict().items()}
    write(place, save(state, metadata={"holdfast": numbers["command"]}))
    return write(place.with_suffix(".md"), CARD.format(**numbers))
