"""The demo trains by the catalogue's recipe, always starts afresh and says how it ends."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

import pytest
import torch

from holdfast.cli import demo as demonstration
from holdfast.cli.front import run
from holdfast.core import catalog


@pytest.fixture
def built(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[str]:
    """Names of what was built from the catalogue; in a folder with a suite of one question."""
    monkeypatch.chdir(tmp_path)
    names: list[str] = []
    build = catalog.build

    def noted(key: str, **values: object) -> object:
        names.append(key)
        return build(key, **values)

    monkeypatch.setattr(catalog, "build", noted)
    Path("one.toml").write_text('[[check]]\nuse = "check:clean"\n')
    Path("holdfast.toml").write_text('[gate]\n"clean.accuracy" = ">= 0.5"\n')
    return names


def test_two_demos_are_two_runs_with_the_same_numbers(built, capsys, monkeypatch):
    learn, test = demonstration.digits()
    few = (learn.take(slice(0, 400)), test.take(slice(0, 100)))
    monkeypatch.setattr(demonstration, "digits", lambda: few)
    codes, documents = [], []
    for _ in range(2):
        codes.append(run(["demo", "--profile", "one.toml", "--json"]))
        told = capsys.readouterr()
        documents.append(json.loads(told.out))
        lines = told.err.splitlines()
        assert "clean accuracy" in lines[0] and "%" in lines[0]  # the first line has a number
        assert lines[-1].endswith(f"holdfast demo exits with {codes[-1]}: every gate passes")
    assert codes == [0, 0] and documents[0] == documents[1]
    assert built.count("recipe:standard") == 2
    folders = sorted(Path(".holdfast/runs").iterdir())
    assert len(folders) == 2
    assert all((f / "report.html").is_file() for f in folders)


def test_the_network_is_good_and_its_remedy_can_be_typed(built):
    audit = demonstration.prepared(0, "quick")
    asked = audit.subject
    assert asked.batches is not None and asked.trusted is not None and audit.fresh
    rows = [{r.numpy().tobytes() for r in b.x} for b in (asked.batches, asked.trusted)]
    assert len(asked.batches) == 364 and len(asked.trusted) == 1433 and not rows[0] & rows[1]
    with torch.no_grad():
        right = (asked.model(asked.batches.x).argmax(1) == asked.batches.y).double().mean()
    assert right > 0.9
    (line,) = audit.harden.values()
    words = shlex.split(line)
    assert Path(words[2]).is_file() and words[1] == "harden"
    from holdfast.cli.school import enrolled

    pairs = dict(zip(words[3::2], words[4::2], strict=True))
    chosen = dict.fromkeys(("mean", "std", "target", "max_bytes")) | {"seed": 0}
    chosen["arch"] = pairs["--arch"]
    school = enrolled(words[2], pairs["--data"], pairs["--threat"], chosen, half=False, trust=False)
    x = asked.batches.x
    with torch.no_grad():
        assert torch.equal(school.model(x), asked.model(x))
    assert len(school.learn) + len(school.watched) + len(school.held) == 1433


def test_digits_are_those_of_the_library():
    from sklearn.datasets import load_digits

    from holdfast.readers import read_data

    raw, rows = load_digits(), read_data("digits")
    assert torch.equal(rows.x, torch.from_numpy(raw.images / 16.0).float()[:, None])
    assert torch.equal(rows.y, torch.from_numpy(raw.target).long())
