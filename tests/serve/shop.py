"""A small store with hand-made results, hostile names among them, and a browser for its pages."""

from __future__ import annotations

import copy
import json
import time
from pathlib import Path
from typing import Any

from tests.report import sample

from holdfast.report import render_html, render_json, render_markdown
from holdfast.run.store import Store
from holdfast.serve.notes import Notes

OLD, NEW, READY = "2026-11-18-demo-91bc", "2026-11-20-demo-7f3a", "2026-11-21-resnet-c0de"
EVIL, GOES, DEAD = "2026-11-21-img-66aa", "2026-11-22-vit-beef", "2026-11-22-vit-dead"
HOSTILE = "<img src=x onerror=alert(1)>.pt"
SCRIPT = "</script><script>alert(2)</script>"


def put(store: Store, run: str, results: dict[str, Any], code: int, data: str = "digits") -> None:
    """Write a finished run as an audit does."""
    day, word = run[:10], results["verdict"]["word"]
    options = {"model": results["subject"]["name"], "data": data}
    store.ledger.open_run(
        run, run, results["subject"]["name"], results["suite"], f"{day}T10:12:01+00:00", options
    )
    facts = sample.run() | {"checks": {"check:clean": 0.4, "check:worst-case": 18.2}}
    store.keep(run, "results.json", render_json(results))
    store.keep(run, "run.json", facts)
    store.keep(run, "report.html", render_html(results, run=facts))
    store.keep(run, "summary.md", render_markdown(results, run=facts))
    store.ledger.close_run(run, f"{day}T10:12:48+00:00", "finished", word, code)


def beats(store: Store, run: str, beat: float, **more: Any) -> None:
    """Write the sign of life of a running audit."""
    worst = sample.reading("attacks.worst@linf:8/255", 0.124, bound="upper")
    told = {
        "schema_version": 1, "state": "running", "beat": beat, "done": 7, "total": 19,
        "command": "holdfast audit vit.pt --data ./test", "doing": "worst-case 310/1,000 rows",
        "left": 290.0, "worst": worst, "numbers": [sample.reading("clean.accuracy", 0.918), worst],
    }  # fmt: skip
    store.keep(run, "live.json", json.dumps(told | more))


def filled(root: Path) -> Store:
    """A store with every kind of run: earlier, later, ready, hostile, running, dead."""
    store = Store(root)
    old, new = sample.baseline(), sample.results()
    old["subject"]["model"]["digest"] = "sha256:11aa22bb33cc44"
    put(store, OLD, old, 1)
    put(store, NEW, new, 1)
    ready = copy.deepcopy(new)
    ready["subject"]["name"] = "resnet18.safetensors"
    ready["subject"]["data"]["name"] = "cifar-test"
    ready["verdict"] = {"word": "READY", "code": 0, "says": "All 6 gates pass."}
    for gate in ready["gates"]:
        gate["verdict"] = "pass"
    put(store, READY, ready, 0, "cifar-test")
    evil = copy.deepcopy(new)
    evil["subject"]["name"] = HOSTILE
    evil["verdict"] = {"word": "UNDECIDED", "code": 3, "says": f"Too few rows {SCRIPT}."}
    evil["outcomes"][0]["findings"][0]["says"] = SCRIPT
    evil["outcomes"][0]["findings"][0]["severity"] = "failure"
    evil["outcomes"][0]["findings"][0]["readings"][0]["name"] = f"clean.{HOSTILE}"
    evil["outcomes"][0]["findings"][0]["readings"][0]["threat"] = SCRIPT
    put(store, EVIL, evil, 3)
    for run, beat in ((GOES, time.time() + 1e6), (DEAD, time.time() - 3600)):
        store.ledger.open_run(run, run, "vit", "deep", f"{run[:10]}T09:00:00+00:00", {"data": "t"})
        beats(store, run, beat)
    notes = Notes(store.folder(NEW) / "notes.json")
    notes.add("Ada", "Class 8 is mislabelled, see rows 12 and 31.\nWe measure again.")
    Notes(store.folder(EVIL) / "notes.json").add(HOSTILE, SCRIPT)
    return store
