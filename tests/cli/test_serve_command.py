"""`holdfast serve` on the command line, and the sign of life that a running audit gives."""

from __future__ import annotations

import io
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from http.cookiejar import CookieJar
from pathlib import Path

import pytest
from tests.serve import shop

from holdfast.cli.front import run
from holdfast.cli.live import Live, alive
from holdfast.cli.progress import Told
from holdfast.core.records import Reading


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_without_the_extra_the_line_that_installs_it_is_shown(folder, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    assert run(["serve"]) == 2
    err = capsys.readouterr().err
    assert "E0608" in err and "pip install 'holdfast[serve]'" in err


def test_an_address_that_is_taken_is_said(folder, capsys):
    pytest.importorskip("uvicorn", reason="uvicorn is not installed (extra serve)")
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        assert run(["serve", "--port", str(other.getsockname()[1])]) == 2
    assert "E0171" in capsys.readouterr().err


@pytest.mark.reaches
def test_an_address_of_another_machine_is_said(folder, capsys):
    pytest.importorskip("uvicorn", reason="uvicorn is not installed (extra serve)")
    assert run(["serve", "--host", "203.0.113.7", "--port", "8724"]) == 2
    assert "E0171" in capsys.readouterr().err


def test_a_dashboard_that_others_can_reach_always_has_a_key(folder, capsys):
    pytest.importorskip("uvicorn", reason="uvicorn is not installed (extra serve)")
    assert run(["serve", "--host", "0.0.0.0", "--no-token"]) == 2
    assert "E0175" in capsys.readouterr().err


def test_a_site_is_exported_without_the_extra(folder, capsys, monkeypatch):
    for name in ("uvicorn", "starlette"):
        monkeypatch.setitem(sys.modules, name, None)
    assert run(["serve", "--export", "site"]) == 2
    assert "E0173" in capsys.readouterr().err
    shop.filled(folder / ".holdfast")
    assert run(["serve", "--export", "site"]) == 0
    assert capsys.readouterr().out.strip() == os.path.join("site", "index.html")
    assert (folder / "site" / "runs" / shop.NEW / "report.html").is_file()


def test_the_printed_address_opens_the_dashboard_and_ctrl_c_ends_it(folder):
    pytest.importorskip("uvicorn", reason="uvicorn is not installed (extra serve)")
    shop.filled(folder / ".holdfast")
    with subprocess.Popen(
        [sys.executable, "-m", "holdfast", "serve"], stdout=subprocess.PIPE, text=True,
        stderr=subprocess.PIPE, start_new_session=True,
    ) as process:  # fmt: skip
        assert process.stdout is not None and process.stderr is not None
        address = process.stdout.readline().strip()
        assert address.startswith("http://127.0.0.1:") and "?key=" in address
        jar = urllib.request.HTTPCookieProcessor(CookieJar())
        direct = urllib.request.ProxyHandler({})
        page = urllib.request.build_opener(jar, direct).open(address, timeout=60).read().decode()
        assert shop.NEW in page
        with pytest.raises(urllib.error.HTTPError, match="401"):
            urllib.request.build_opener(direct).open(address.partition("?")[0], timeout=60)
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=60) == 0
        assert "Traceback" not in process.stderr.read()


def told() -> Told:
    made = Told(io.StringIO())
    made.done, made.total, made.name = 2, 5, "worst-case"
    made.worst = Reading(name="attacks.worst@linf:0.1", value=0.4, low=0.3, high=0.5, n=10)
    made.first = [made.worst, Reading(name="odd", value=float("nan"), low=0.0, high=1.0, n=1)]
    return made


def test_a_running_audit_gives_signs_of_life_and_leaves_none(tmp_path):
    place = tmp_path / "runs" / "one"
    before = time.time()
    with alive(place, told(), "holdfast audit m.pt --data d") as live:
        while not (place / "live.json").exists():
            assert time.time() - before < 60
            time.sleep(0.01)
        seen = json.loads((place / "live.json").read_text())
        assert (seen["state"], seen["done"], seen["total"]) == ("running", 2, 5)
        assert seen["worst"]["value"] == 0.4 and seen["numbers"][1]["value"] is None
        assert seen["command"] == "holdfast audit m.pt --data d" and seen["beat"] >= before
        live.writing()
        assert json.loads((place / "live.json").read_text())["state"] == "writing"
    assert not place.exists()


def test_no_sign_is_left_when_an_audit_breaks_off(tmp_path):
    (tmp_path / "results.json").write_text("{}")
    with pytest.raises(KeyboardInterrupt), alive(tmp_path, told(), ""):
        raise KeyboardInterrupt
    assert [p.name for p in tmp_path.iterdir()] == ["results.json"]


def test_where_nothing_can_be_written_the_audit_goes_on(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with alive(tmp_path / "file" / "run", told(), "") as live:
        live.put("running")
    assert (tmp_path / "file").read_text() == "in the way"


def test_what_cannot_be_told_is_left_out(tmp_path):
    broken = told()
    broken.left = float("nan")
    Live(tmp_path, broken, "").put("running")
    assert not list(tmp_path.glob("*.part"))


def test_an_audit_is_seen_while_it_runs_and_not_behind_it(tmp_path: Path):
    from tests.run.doubles import Says, subject, suite

    from holdfast.run.store import Store
    from holdfast.run.suite import audit

    seen = []

    class Watching(Says):
        def __call__(self, asked):
            live.put("running")
            seen.append(json.loads((store.folder("r") / "live.json").read_text()))
            yield from super().__call__(asked)

    store = Store(tmp_path)
    store.ledger.open_run("r", "r", "net", "double", "t", {})
    checks = suite(Says(), Watching(name="clean.other"))
    with Told(io.StringIO()) as progress, alive(store.folder("r"), progress, "") as live:
        audit(checks, subject(), store=store, run="r", progress=progress)
    assert [s["done"] for s in seen] in ([0], [1]) and seen[0]["total"] == 2
    assert not (store.folder("r") / "live.json").exists()
