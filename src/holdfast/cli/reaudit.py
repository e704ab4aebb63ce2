"""The audits before and after a hardening, on rows that it has not seen, and what changed."""

from __future__ import annotations

import io
import sys
from contextlib import redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING, Any

from holdfast.cli import options as words
from holdfast.cli.diff import between, diff

if TYPE_CHECKING:
    from holdfast.cli.conduct import Audit
    from holdfast.cli.school import School
    from holdfast.cli.taught import Order
    from holdfast.run.ledger import RunRow

_PROFILE = "quick"


def reaudited(order: Order, school: School, *, quiet: bool) -> dict[str, Any]:
    """Audit the hardened model as the model was audited, and show what changed.

    Judged are rows that took no part: those of the model's last audit where they are others than
    the ones learned from, else the half that --half has left out, else the rows held out. Where
    the model was not audited on them yet, it is now.

    Args:
        order: what was asked for.
        school: the hardened model and its rows.
        quiet: print nothing.

    Returns:
        Names of both runs, verdicts, and every number before and after.
    """
    from holdfast.run.store import Store

    store = Store(words.STORE)
    known = _last(order, store.ledger.runs())
    before = known.id if known is not None else ""
    options = dict(known.options) if known is not None else _options(order)
    # On rows held out the old model is always asked anew: no earlier run has seen them alone.
    for model in [str(order.place)] if before else [order.model, str(order.place)]:
        audit = _laid(order, school, model, options)
        _conduct(audit, quiet or model == order.model)
        after = store.find_run("last").id
        before = before or after
    first, second, rows = between(store, before, after)
    if not quiet:
        print(f"what has changed since {before}:")
        diff(before, after)
    return {
        "before": before, "after": after,
        "verdicts": [first["verdict"]["word"], second["verdict"]["word"]],
        "readings": rows,
    }  # fmt: skip


def _last(order: Order, runs: list[RunRow]) -> RunRow | None:
    """The last finished audit of this model on rows that the training does not see."""
    for row in reversed(runs):
        own = row.options
        unseen = (
            own.get("data") == order.data and not own.get("reference")
            if order.half
            else own.get("reference") == order.data and own.get("data") != order.data
        )
        threats = own.get("threat") or words.USUAL["threat"]
        if row.state == "finished" and own.get("model") == order.model and unseen:
            return row if order.threat in threats else None
    return None


def _options(order: Order) -> dict[str, Any]:
    """Options of an audit of the other half; nothing of them is used on rows held out."""
    own = {k: v for k, v in order.chosen.items() if v is not None}
    return words.USUAL | own | {
        "data": order.data, "threat": [order.threat], "profile": _PROFILE
    }  # fmt: skip


def _laid(order: Order, school: School, model: str, options: dict[str, Any]) -> Audit:
    from holdfast.cli.prepare import prepared

    name = order.model if ":" in order.model else None
    arch = order.chosen["arch"] or (None if model == order.model else name)
    own = {k: v for k, v in options.items() if k != "model"} | {"arch": arch}
    if order.half or own.get("reference"):
        return prepared(model, own, trust=order.trust, on="here")
    return _of_held(order, school, model, own)


def _of_held(order: Order, school: School, model: str, chosen: dict[str, Any]) -> Audit:
    """An audit of the rows that were held out; its reference is what was learned from."""
    from holdfast.cli.branded import warned
    from holdfast.cli.conduct import Audit
    from holdfast.cli.prepare import looked, model_of
    from holdfast.readers import subject
    from holdfast.run.store import Store
    from holdfast.suites import load

    learn, held = school.parts
    read = model_of(model, chosen, learn, order.trust)
    asked = subject(read, held, reference=learn, threats=(school.threat,), seed=school.seed)
    store = Store(words.STORE)
    stem = Path(model.rpartition(":")[0] or model).stem
    return Audit(
        asked, load(_PROFILE, words.project().get("suite")), store, stem, school.line(order.line),
        words.gates(), preflight=(*warned(model), *looked(asked, store)),
        options={"model": model},
    )  # fmt: skip


def _conduct(audit: Audit, quiet: bool) -> None:
    from holdfast.cli.conduct import conduct

    sys.stdout.flush()
    with redirect_stdout(io.StringIO()) as said:
        code = conduct(audit)
    if not quiet:
        print(said.getvalue(), end="")
    if code == 130:
        raise KeyboardInterrupt
