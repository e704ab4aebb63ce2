"""The model card of a hardened model: what was done, with which numbers, and how to repeat it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torch import nn

if TYPE_CHECKING:
    from holdfast.cli.lesson import Lesson
    from holdfast.cli.school import School
    from holdfast.cli.taught import Order

_CARD = """# {name}

Trained by `holdfast harden` with the recipe `{recipe}` {aim}.
{caution}
| on {n} held-out rows | before | after |
|---|---|---|
| clean accuracy | {clean_before} | {clean} |
| accuracy under PGD-20 (upper bound, `{threat}`) | {robust_before} | {robust} |

- Starts from: `{source}`, weights {digest_before:.12}; these weights {digest_after:.12}
- Data: `{data}`, digest {data_digest:.12}; {learned} rows learned from, {watched} for choosing the
  best epoch, {held} held out for the numbers above (at most 500 are measured)
- Epochs: {epochs} of {planned}, the weights of epoch {best} (best by {by} accuracy), seed {seed}
{stop}{processes}{taught}- Repeat: `{command}`
- Judge it on rows that took no part in the training: {audit}
{chosen}{notes}
## Settings

```
{settings}
```

| epoch | loss | clean | robust |
|---|---|---|---|
{history}
"""

_TEACHER = "- Teacher: `{source}`, digest {digest:.12}\n"


def settings_of(recipe: Any) -> dict[str, Any]:
    """All settings of a recipe as plain values, of a preset too."""
    from dataclasses import fields, is_dataclass

    from holdfast.core.table import table
    from holdfast.run.writing import plain

    if not is_dataclass(recipe) or isinstance(recipe, type):
        return {"use": repr(recipe)}
    shown = (f for f in fields(recipe) if f.init and not f.metadata.get("ingredient"))
    own = {f.name: _plain(getattr(recipe, f.name), table) for f in shown}
    return plain(own)  # type: ignore[no-any-return]


def facts(order: Order, school: School, made: Lesson, run: Any) -> dict[str, Any]:
    """What a card says of a run, without its numbers."""
    from holdfast.core.digest import digest
    from holdfast.run import ranks

    best = getattr(run, "best", {})
    return {
        "schema_version": 1, "name": order.place.stem, "recipe": made.name,
        "settings": settings_of(made.recipe), "caution": made.caution, "against": made.against,
        "threat": school.threat.spec, "source": order.model, "data": order.data,
        "data_digest": digest([*school.parts]), "learned": len(school.learn),
        "watched": len(school.watched), "held": len(school.held), "seed": school.seed,
        "epochs": int(run.epoch), "planned": made.epochs or int(run.epoch),
        "best": int(best.get("at", run.epoch - 1)) + 1, "by": "robust" if made.against else "clean",
        "stopped": run.stopped, "processes": ranks.world(),
        "history": [dict(row) for row in run.history],
        "notes": list(school.notes), "command": school.line(order.line),
        "audit": school.audit(order.place, order.model, order.data, order.half),
    }  # fmt: skip


def _plain(value: Any, table: Any) -> Any:
    if isinstance(value, tuple | list):
        return [_plain(v, table) for v in value]
    return value if value is None or isinstance(value, str | int | float | bool) else table(value)


def _amount(r: Mapping[str, Any]) -> str:
    from holdfast.report.numbers import amount, interval

    return f"{amount(r['value'], r['unit'])} {interval(r['low'], r['high'], r['unit'])}"


def rendered(card: Mapping[str, Any]) -> str:
    """The card as Markdown."""
    numbers = card["readings"]
    lines = [
        f"| {i + 1} | {row.get('loss', float('nan')):.4g} | {_share(row, 'clean')} "
        f"| {_share(row, 'robust')} |"
        for i, row in enumerate(card["history"])
    ]
    caution = f"\n**Caution: {card['caution']}. For study only; not a defence.**\n"
    aim = f"against `{card['threat']}`" if card["against"] else "(it is not about a threat)"
    together = card.get("processes", 1)
    own = ("settings", "history", "notes", "caution", "processes", "teachers")
    shown = {name: _amount(r) for name, r in numbers.items()}
    return _CARD.format(
        **{k: v for k, v in card.items() if k not in own},
        **shown, n=numbers["clean"]["n"], aim=aim, caution=caution if card["caution"] else "",
        stop=f"- Stopped before its plan: {card['stopped']}\n" if card["stopped"] else "",
        processes=f"- Trained by {together} processes\n" if together > 1 else "",
        taught="".join(_TEACHER.format(**t) for t in card.get("teachers", ())),
        chosen=f"- Chosen because {card['why']}\n" if card["why"] else "",
        notes="".join(f"- Note: {note}\n" for note in card["notes"]),
        settings="\n".join(f"{k} = {v}" for k, v in card["settings"].items()),
        history="\n".join(lines) or "| - | - | - | - |",
    )  # fmt: skip


def _share(row: Mapping[str, float], name: str) -> str:
    return f"{row[name]:.1%}" if name in row else "-"


def written(net: nn.Module, place: Path, card: Mapping[str, Any]) -> tuple[Path, Path]:
    """Weights and both forms of the card, each whole or absent; equal contents, equal bytes."""
    from holdfast.run.checkpoint import packed
    from holdfast.run.writing import canonical, write

    about = {"holdfast": card["command"], "recipe": card["recipe"]} | (
        {"caution": card["caution"]} if card["caution"] else {}
    )
    state = {k: v.detach().cpu().clone().contiguous() for k, v in net.state_dict().items()}
    write(place, packed(state, about))
    data = write(place.with_suffix(".json"), canonical(card))
    return write(place.with_suffix(".md"), rendered(card)), data
