"""`holdfast monitor`: exit codes, the table, JSON, and the answers of a model."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from tests.cli.world import lay, rows

from holdfast.cli.front import run

BASE = ["monitor", "stream", "--reference", "before.csv"]
MODEL = ["--model", "net.pt", "--arch", "net.py:build"]


def table(path: str, n: int, seed: int, shift: float = 0.0, colour: bool = True) -> None:
    draw = np.random.default_rng(seed)
    age, income = draw.normal(40 + shift, 10, n), draw.lognormal(0, 1, n)
    colours = draw.choice(["red", "green"], n)
    lines = ["age,income" + ",colour" * colour]
    lines += [f"{a:.2f},{b:.4f}" + f",{c}" * colour
              for a, b, c in zip(age, income, colours, strict=True)]  # fmt: skip
    Path(path).write_text("\n".join(lines) + "\n")


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    Path("stream").mkdir()
    table("before.csv", 1000, 0)
    return tmp_path


def test_a_quiet_stream_ends_with_0(here: Path, capsys) -> None:
    for k in range(3):
        table(f"stream/{k}.csv", 200, k + 1)
    assert run(BASE) == 0
    out = capsys.readouterr().out
    assert "3 windows against before.csv (1,000 rows, 3 columns)" in out
    assert "Drift in 0 of 3 windows." in out and "Columns that moved" not in out


def test_drift_ends_with_1_and_is_named(here: Path, capsys) -> None:
    table("stream/a.csv", 200, 1)
    table("stream/b.csv", 200, 2, shift=8)
    table("stream/c.csv", 200, 3, colour=False)
    Path("stream/d.csv").write_text("age,income,colour\n")
    Path("stream/e.csv").write_text("age,income,colour\n41,1.0,red\n")
    assert run(BASE) == 1
    out = capsys.readouterr().out
    words = [line.split()[:4] for line in out.splitlines() if line[1:5] == ".csv"]
    assert [w[2] for w in words] == ["no", "drift", "drift", "empty", "too"]
    assert "Drift in 2 of 5 windows, first in b.csv; too small" in out
    assert "  age: in 1 window, b.csv" in out and "standard deviations" in out
    assert "c.csv: column 'colour' is missing" in out
    assert run([*BASE, "--json"]) == 1
    told = json.loads(capsys.readouterr().out)
    assert told["verdict"] == "drift" and [m["column"] for m in told["moved"]] == ["age"]
    for q in told["moved"][0]["questions"]:
        assert q["p"] < told["windows"][1]["level"] and q["statistic"]["n"] == 200
        assert q["statistic"]["low"] <= q["statistic"]["value"] <= q["statistic"]["high"]
    assert run([*BASE, "--json"]) == 1
    assert json.loads(capsys.readouterr().out) == told
    assert run([*BASE, "--ignore", "age", "--ignore", "colour"]) == 0


def test_one_file_is_cut_and_a_stream_goes_on(here: Path, capsys) -> None:
    table("now.csv", 500, 4)
    line = ["monitor", "now.csv", "--reference", "before.csv", "--window", "200", "--json"]
    assert run(line) == 0
    told = json.loads(capsys.readouterr().out)
    assert [w["n"] for w in told["windows"]] == [200, 200, 100]
    assert run([*line, "--seen", "3", "--limit", "150"]) == 0
    later = json.loads(capsys.readouterr().out)
    assert [w["number"] for w in later["windows"]] == [4, 5, 6]
    assert [w["n"] for w in later["windows"]] == [150, 150, 100]
    assert later["windows"][0]["level"] == pytest.approx(0.05 / 20)


def test_answers_of_a_model(here: Path, capsys) -> None:
    lay(here)
    x, y = rows(300)
    noise = 0.02 * np.random.default_rng(1).normal(size=x.shape).astype(np.float32)
    order = np.random.default_rng(0).permutation(300)
    np.savez("before.npz", x=x.numpy()[order[:200]], y=y.numpy()[order[:200]])
    np.savez("stream/a.npz", x=x.numpy()[order[200:]] + noise[order[200:]])
    np.savez("stream/b.npz", x=x.numpy()[y.numpy() == 1])
    line = ["monitor", "stream", "--reference", "before.npz", *MODEL]
    assert run(line) == 1
    out = capsys.readouterr().out
    assert "model: answer" in out and "'1' in 100% of the rows" in out
    assert run([*line, "--json", "--detector", "knn"]) == 1
    told = json.loads(capsys.readouterr().out)
    assert [w["verdict"] for w in told["windows"]] == ["no drift", "drift"]
    names = {m["column"] for m in told["moved"]}
    assert {"model: answer", "model: probability of 1"} <= names
    assert told["model"] == {"detector": "knn", "inputs": []}


@pytest.mark.parametrize(("words", "says"), [
    (["monitor", "none.csv", "--reference", "before.csv"], "none.csv"),
    (["monitor", "before.csv"], "reference"),
    ([*BASE[:1], "before.csv", *BASE[2:], "--alpha", "2"], "--alpha"),
    ([*BASE[:1], "before.csv", *BASE[2:], "--target", "colr"], "colr"),
    ([*BASE[:1], "before.csv", *BASE[2:], "--arch", "net.py:build"], "no model"),
    ([*BASE[:1], "before.csv", *BASE[2:], "--model", "net.pt", "--detector", "kn"], "knn"),
    (["monitor", "bare.csv", "--reference", "before.csv"], "no window has a row"),
])  # fmt: skip
def test_refusals(here: Path, capsys, words: list[str], says: str) -> None:
    Path("bare.csv").write_text("age,income,colour\n")
    assert run(words) == 2
    out, err = capsys.readouterr()
    assert not out and says in err
