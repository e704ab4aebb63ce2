"""What is derived before it is drawn: steps of the envelope, risk map, changes, numbers."""

from __future__ import annotations

import math

import pytest
from tests.report import sample

from holdfast.report import envelope, risk
from holdfast.report.change import changes
from holdfast.report.numbers import amount, interval, shown


def _document(rows: list[tuple[float, float, str]]) -> sample.Plain:
    made = [sample._at("linf", b, r, a) for r, a, b in rows]
    figure = sample.figure("e", "envelope", "e", "e", made)
    return {
        "outcomes": [sample.outcome("e", "envelope", "", sample.finding("info", "e", (), [figure]))]
    }


def test_steps_are_the_tightest_curves_that_monotony_allows() -> None:
    points = [(0.0, 0.9, "upper"), (0.1, 0.6, "upper"), (0.2, 0.7, "upper"), (0.3, 0.2, "upper"),
              (0.05, 0.5, "lower"), (0.15, 0.3, "lower")]  # fmt: skip
    (panel,) = envelope.panels(_document(points))
    corners = panel.steps
    for radius in (0.02, 0.07, 0.12, 0.17, 0.25):
        # Every pair of points around the radius, straight from the definition.
        upper = min(a for r, a, b in points if b == "upper" and r <= radius)
        lower = max((a for r, a, b in points if b == "lower" and r >= radius), default=0.0)
        before = max(c for c in corners if c[0] < radius)
        left = [c for c in corners if c[0] == before[0]][-1]
        right = next(c for c in corners if c[0] > radius)
        assert left[1:] == right[1:] == (lower, upper)
    assert all(low <= high for _, low, high in corners)


def test_risk_map_is_sorted_and_reads_errors_from_accuracies() -> None:
    strips = risk.strips(sample.results())
    assert [s.worst for s in strips] == sorted((s.worst for s in strips), reverse=True)
    families = {s.family: s for s in strips}
    assert list(families["Clean inputs"].cells) == pytest.approx([1 - 0.981])
    assert list(families["Overconfidence"].cells) == pytest.approx([0.081])
    assert families["gaussian"].cells[0] == pytest.approx(0.06)
    assert len(families["Attacks, linf"].cells) == risk.LEVELS
    assert families["Attacks, linf"].cells[-1] == pytest.approx(
        1 - 0.981 * math.exp(-((34 * 16 / 255) ** 1.6))
    )


def test_risk_of_a_doubted_attack_says_so() -> None:
    document = sample.results()
    envelope = next(o for o in document["outcomes"] if o["section"] == "envelope")
    flagged = sample.reading("envelope.attacked@linf:8/255", 0.3, flags=["slopes exist: none"])
    envelope["findings"][0]["readings"] = [flagged]
    families = {s.family for s in risk.strips(document)}
    assert "Attacks, linf, doubted" in families and "Attacks, l2" in families


def test_a_change_is_sure_only_where_intervals_lie_apart() -> None:
    def one(value: float, spread: float, **more: str) -> sample.Plain:
        readings = [sample.reading("a.b", value, spread, **more)]
        return {"outcomes": [sample.outcome("a", "a", "", sample.finding("info", "a", readings))]}

    def word(old: sample.Plain, new: sample.Plain) -> str:
        (change,) = changes(new, old)
        return change.word

    assert word(one(0.5, 0.05), one(0.7, 0.05)) == "better"
    assert word(one(0.7, 0.05), one(0.5, 0.05)) == "worse"
    assert word(one(0.5, 0.05), one(0.7, 0.05, better="lower")) == "worse"
    assert word(one(0.5, 0.11), one(0.7, 0.11)) == "within noise"
    assert word(one(0.5, 0.05), one(0.5, 0.05)) == "unchanged"


def test_numbers_print_with_their_unit() -> None:
    assert amount(0.3125, "share") == "31.2%"
    assert amount(None, "share") == "not determined"
    assert amount(1_234_567, "passes") == "1,234,567 passes"
    assert interval(0.284, 0.341, "share") == "[28.4, 34.1]"
    assert interval(None, 0.5, "share") == "[?, 50.0]"
    full = shown(sample.reading("attacks.worst@l2:0.5", 0.5, bound="upper", flags=["masked"])).full
    assert full == "50.0% [47.0, 53.0], upper bound, n=360, l2:0.5, masked"
