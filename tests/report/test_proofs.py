"""The bars of proofs: parts add up, names are words, and nothing else is taken for them."""

from __future__ import annotations

import re

from holdfast.report.envelope import Panel, Point
from holdfast.report.proofs import proofs


def row(threat: str, state: str, method: str, rows: int) -> dict[str, object]:
    return {"threat": threat, "state": state, "method": method, "rows": rows, "asked": 9, "n": 40}


ROWS = [
    row("linf:2/255", "proved", "certifier:ibp", 10),
    row("linf:2/255", "proved", "certifier:crown", 20),
    row("linf:2/255", "open", "", 4), row("linf:2/255", "broken", "attack:pgd", 1),
    row("linf:2/255", "wrong", "", 5),
    row("linf:8/255", "proved", "certifier:crown", 0), row("linf:8/255", "open", "", 0),
    row("linf:8/255", "broken", "attack:pgd", 35), row("linf:8/255", "wrong", "", 5),
]  # fmt: skip


def test_parts_fill_the_bar_and_bear_the_names_of_methods() -> None:
    found = proofs(ROWS)
    assert found is not None
    assert [b.threat for b in found.bars] == ["linf:2/255", "linf:8/255"]
    assert found.bars[0].says == "30 of 40 proved · 4 open · 1 broken · 5 wrong"
    assert found.bars[1].says == "0 of 40 proved · 35 broken · 5 wrong"
    words = dict(found.key)
    assert words["p0"] == "proved by interval bounds (IBP)"
    assert words["p1"] == "proved by linear bounds (CROWN)"
    for bar in found.bars:
        parts = re.findall(r'<rect class="(\w+)" x="([\d.]+)%" width="([\d.]+)%"', bar.svg)
        assert abs(sum(float(w) for _, _, w in parts) - 100) < 0.1
        starts = [float(x) for _, x, _ in parts]
        assert starts == sorted(starts) and starts[0] == 0
    # Crown keeps its colour where it stands alone.
    assert [k for k, _ in found.key][:2] == ["p0", "p1"]


def test_settings_that_are_not_the_usual_ones_are_named() -> None:
    rows = [
        row("linf:1", "proved", f"certifier:{m}", 10)
        for m in ("crown intermediate=ibp", "crown", "beta-crown seconds=5 parts=9", "own-method")
    ]
    found = proofs(rows)
    assert found is not None
    assert [says for _, says in found.key] == [
        "proved by linear bounds (CROWN-IBP)", "proved by linear bounds (CROWN)",
        "proved by branch and bound (beta-CROWN), seconds=5, parts=9", "proved by own method",
    ]  # fmt: skip


def test_other_tables_are_left_alone_and_names_are_escaped() -> None:
    assert proofs([{"method": "a", "rows": 3}]) is None and proofs([]) is None
    evil = proofs([row("<b>", "proved", "<script>", 40)])
    assert evil is not None and "<script>" not in str(evil.bars[0].svg)
    assert proofs([row("x", "odd", "", 3)]) is not None  # from another version: drawn as open


def test_the_proved_curve_ends_where_the_last_radius_was_measured() -> None:
    near, far = Point(0.1, 0.9, 0.8, 1.0), Point(0.2, 0.7, 0.6, 0.8)
    steps = Panel("linf", upper=(near, far), lower=(near, far)).steps
    assert steps[-1] == (0.2, 0.7, 0.7)
    assert (0.1, 0.7, 0.9) in steps  # just beyond the first radius only the second is proved
