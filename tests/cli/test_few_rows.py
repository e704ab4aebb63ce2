"""Who has few rows: groups and the worst class of an audit, and what `auto` makes of it."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import torch

from holdfast.cli import prescribe
from holdfast.cli.few_rows import rare_class, uneven_groups
from holdfast.cli.odd_labels import odd_labels
from holdfast.cli.prescribe import prescribed
from holdfast.core.data import Batches


def school(counts: list[int], groups: list[int] | None = None, names: Any = ()) -> Any:
    y = torch.arange(len(counts)).repeat_interleave(torch.tensor(counts))
    g = None if groups is None else torch.arange(len(groups)).repeat_interleave(
        torch.tensor(groups)
    )  # fmt: skip
    x = y[:, None] + torch.rand(len(y), 3, generator=torch.Generator().manual_seed(0)) / 2
    return SimpleNamespace(learn=Batches(x=x, y=y, group=g, classes=names))


def audit(*labels: str) -> Any:
    rows = [{"label": n, "high": 0.6, "before": 0.9, "value": 0.5} for n in labels]
    gate = {"name": "clean.worst_class", "value": 0.5, "limit": 0.9, "relation": ">=",
            "verdict": "fail"}  # fmt: skip
    findings = [{"readings": [], "figures": [{"name": "slices", "rows": rows}]}]
    return {"gates": [gate], "gates_from": "holdfast.toml", "outcomes": [{"findings": findings}]}


def test_a_group_is_small_where_it_has_less_than_half_of_the_mean() -> None:
    assert uneven_groups(school([40, 40], [70, 10]))
    assert not uneven_groups(school([40, 40], [50, 30]))
    assert not uneven_groups(school([40, 40]))
    assert not uneven_groups(school([40, 40], [0, 50, 30])), "a number that no row has is no group"


def test_only_the_class_that_is_served_worst_counts() -> None:
    uneven = school([60, 60, 4], names=("cat", "dog", "owl"))
    assert rare_class(uneven, audit("class owl", "class cat"))
    assert rare_class(uneven, audit("group 1", "class owl"))
    assert not rare_class(uneven, audit("class cat", "class owl"))
    assert not rare_class(uneven, audit())
    assert rare_class(school([60, 60, 4]), audit("class 2"))
    assert not rare_class(school([60, 60, 40]), audit("class 2"))


def test_auto_takes_what_the_rows_say(monkeypatch: Any) -> None:
    def chosen(rows: Any, *labels: str) -> str:
        monkeypatch.setattr(prescribe, "last_results", lambda model: audit(*labels))
        return prescribed("net.pt", rows)[0]

    assert chosen(school([60, 60, 4]), "class 2") == "logit-adjustment"
    assert chosen(school([60, 60, 60]), "class 2") == "dafa"
    assert chosen(school([40, 40], [70, 10]), "group 1") == "balanced-groups"
    assert chosen(school([40, 40], [40, 40]), "group 1") == "spectral-decoupling"
    assert chosen(school([40, 40]), "group 1") == "spectral-decoupling"


def test_rows_in_other_surroundings_do_not_vote_on_labels() -> None:
    y = torch.arange(200) % 2
    there = torch.arange(200) >= 20  # most rows lie where the second number is near its label
    x = torch.stack([y.float(), torch.where(there, 5.0 * y, 5.0 * (1 - y))], 1)
    x += 0.01 * torch.rand(200, 2, generator=torch.Generator().manual_seed(0))
    rows: Any = SimpleNamespace(learn=Batches(x=x, y=y))
    grouped: Any = SimpleNamespace(learn=Batches(x=x, y=y, group=2 * y + there.long()))
    far = x.clone()
    far[:, 0] *= 0  # nothing but the surroundings is seen
    alone: Any = SimpleNamespace(learn=Batches(x=far, y=y))
    known: Any = SimpleNamespace(learn=Batches(x=far, y=y, group=2 * y + there.long()))
    assert odd_labels(alone) == 0.1 and odd_labels(known) == 0.0
    assert odd_labels(rows) == odd_labels(grouped) == 0.0
