"""The store: runs have names that people can say, files are whole or absent."""

from __future__ import annotations

import json
import math
import os
import threading
from pathlib import Path

import numpy as np
import pytest
import torch
from tests.run.doubles import subject

from holdfast.core.errors import ConfigError
from holdfast.core.records import Finding, Reading, Severity
from holdfast.run.store import Store
from holdfast.run.writing import canonical, plain, write


def entered(store: Store, name: str, identity: str = "abcd", model: str = "net") -> None:
    store.ledger.open_run(name, identity, model, "quick", "2026-01-02", {})
    store.keep(name, "results.json", {"run": name})


@pytest.fixture
def store(tmp_path):
    made = Store(tmp_path / ".holdfast")
    for name in ("2026-01-02-net-abcd", "2026-01-03-net-ef01", "2026-01-03-other-9999"):
        entered(made, name)
    return made


@pytest.mark.parametrize(("asked", "found"), [
    ("last", "2026-01-03-other-9999"), ("last~0", "2026-01-03-other-9999"),
    ("last~2", "2026-01-02-net-abcd"), ("ef01", "2026-01-03-net-ef01"),
    ("2026-01-02", "2026-01-02-net-abcd"), ("2026-01-03-net-ef01", "2026-01-03-net-ef01"),
])  # fmt: skip
def test_a_run_is_found_by_name_by_part_and_counted_back(store, asked, found):
    assert store.find_run(asked).id == found
    assert store.results(found) == {"run": found}


@pytest.mark.parametrize("asked", ["last~3", "last~", "net", "2026-01-03", "nothing", ""])
def test_what_names_no_run_or_several_is_refused(store, asked):
    with pytest.raises(ConfigError) as caught:
        store.find_run(asked)
    assert "holdfast" in caught.value.fix


def test_names_are_made_of_day_model_and_content(tmp_path):
    store = Store(tmp_path)
    assert store.name_run("../Öwn Net!", "0123456789", "2026-01-02") == "2026-01-02-wn-net-0123"
    assert store.name_run("???", "0123", "2026-01-02") == "2026-01-02-model-0123"
    assert len(store.name_run("n" * 300, "0123", "2026-01-02")) < 70
    entered(store, "2026-01-02-net-0123", "0123")
    assert store.name_run("net", "0123", "2026-02-02") == "2026-01-02-net-0123", "it continues"
    assert store.name_run("other", "0123", "2026-01-02") == "2026-01-02-other-0123"
    assert store.name_run("net", "0123", "2026-01-02", fresh=True) == "2026-01-02-net-0123-2"
    (store.folder("2026-01-02-net-0123-2")).mkdir(parents=True)
    assert store.name_run("net", "0123", "2026-01-02", fresh=True) == "2026-01-02-net-0123-3"


def test_nothing_is_made_before_something_is_kept(tmp_path):
    store = Store(tmp_path / "none")
    with pytest.raises(ConfigError):
        store.find_run("last")
    assert store.facts("any") == {} and not store.root.exists()


@pytest.mark.parametrize("torn", ["", "{", '{"a": 1', "\x00\x00"])
def test_a_torn_document_is_named(store, torn):
    run = store.find_run("last").id
    (store.folder(run) / "results.json").write_text(torn)
    with pytest.raises(ConfigError, match=r"other-9999/results\.json") as caught:
        store.results(run)
    assert "again" in caught.value.fix


def test_deleting_the_ledger_loses_no_folder(store):
    for file in store.root.glob("ledger*"):
        file.unlink()
    assert store.ledger.runs() == []
    assert store.results("2026-01-02-net-abcd")["run"].endswith("abcd")


def test_a_reader_sees_the_old_file_or_the_new_one(tmp_path):
    """A file is replaced many times while another thread reads it."""
    file, seen, halt = tmp_path / "deep" / "file", set[str](), threading.Event()
    texts = [letter * 200_000 for letter in "abc"]
    write(file, texts[0])

    def read() -> None:
        while not halt.is_set():
            seen.add(file.read_text())

    reader = threading.Thread(target=read)
    reader.start()
    for k in range(60):
        write(file, texts[k % 3])
    halt.set()
    reader.join(60)
    assert seen <= set(texts) and len(seen) > 1
    assert [f.name for f in file.parent.iterdir()] == ["file"], "no part is left behind"


def test_a_failed_write_leaves_what_was_there(tmp_path, monkeypatch):
    file = tmp_path / "file"
    write(file, "before")
    monkeypatch.setattr(os, "replace", lambda *a: (_ for _ in ()).throw(OSError(28, "No space")))
    with pytest.raises(OSError, match="No space"):
        write(file, "after")
    assert file.read_text() == "before" and len(list(tmp_path.iterdir())) == 1


def test_equal_values_are_equal_texts_whatever_made_them():
    one = {"b": [1.5, math.nan], "a": {"y": np.float64(2.0), "x": torch.tensor([1, 2])}}
    two = {"a": {"x": (1, 2), "y": 2.0}, "b": (1.5, None)}
    assert canonical(one) == canonical(two) == canonical(json.loads(canonical(one)))
    assert canonical({"a": math.inf}) == canonical({"a": -math.inf}) == canonical({"a": None})
    assert canonical({"s": {3, 1, 2}, "e": Severity.WARNING, "p": Path("x")}) == canonical(
        {"s": [1, 2, 3], "e": "warning", "p": "x"}
    )
    assert canonical("\ud800") and canonical({"u": "ü"}).count("ü") == 1


def test_records_become_plain_and_come_back():
    from holdfast.core.records import Outcome
    from holdfast.run.restored import outcome_of

    bad = Reading(name="x", value=math.nan, low=0.0, high=math.inf, n=3, flags=("odd",))
    found = Finding(severity=Severity.FAILURE, says="It is so.", readings=(bad,), rows=(3, 1))
    outcome = Outcome(check="check:x", findings=(found,), cell="c", seconds=1.0)
    back = outcome_of(json.loads(canonical(outcome)))
    assert plain(back) == plain(outcome) and back.findings[0].severity is Severity.FAILURE
    assert math.isnan(back.readings[0].value) and back.findings[0].rows == (3, 1)
    assert subject().batches is not None
