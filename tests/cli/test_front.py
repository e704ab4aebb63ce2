"""The command line: light help, honest streams, codes that mean what they say."""

import json
import subprocess
import sys

import pytest
from tests.run.doubles import Says, subject, suite

from holdfast.cli import options
from holdfast.cli.front import run
from holdfast.cli.init import gates_from
from holdfast.core.errors import ConfigError
from holdfast.run.store import Store
from holdfast.run.suite import audit, identity

COMMANDS = (
    "", "demo", "audit", "attack", "monitor", "harden", "ls", "show", "diff", "serve", "claim",
    "papers",
    "list", "doctor", "init",
)  # fmt: skip
HEAVY = ("torch", "numpy", "scipy", "sklearn", "duckdb", "pydantic")
SLOW = (*HEAVY, "rich", "jinja2", "importlib.metadata", "sqlite3")  # not for a page of help


def test_help_of_every_command_is_light():
    code = (
        "import sys, contextlib, io\n"
        "import holdfast\n"
        f"assert not [m for m in {HEAVY!r} if m in sys.modules]\n"
        "import holdfast.core.errors, holdfast.core.records\n"
        "from holdfast.cli.front import run\n"
        f"for name in {COMMANDS!r}:\n"
        "    with contextlib.redirect_stdout(io.StringIO()) as out:\n"
        "        code = run([*([name] if name else []), '--help'])\n"
        "    assert code == 0 and 'Usage' in out.getvalue(), name\n"
        f"    loaded = [m for m in {SLOW!r} if m in sys.modules]\n"
        "    assert not loaded, (name, loaded)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("line", "code", "says"),
    [
        (["audit", "--profile", "quick"], 2, "E0106"),
        (["audit", "m.pt"], 2, "E0107"),
        (["audit", "m.pt", "--data", "digits", "--profile", "quikc"], 2, "Did you mean quick?"),
        (["nothing"], 2, "nothing"),
        (["show", "E9999"], 2, "E99"),
        (["show", "last"], 2, "E0124"),
        (["diff"], 2, "E0124"),
        (["list", "atack"], 2, "E0109"),
        (["audit", "m.pt", "--limit", "0"], 2, "limit"),
    ],
)
def test_what_is_asked_wrongly_ends_with_2_and_leaves_standard_output_empty(
    folder, capsys, line, code, says
):
    assert run(line) == code
    out, err = capsys.readouterr()
    assert out == "" and says in err


def test_a_crash_of_ours_ends_with_4_and_keeps_the_traceback(folder, capsys, monkeypatch):
    def broken(*args, **more):
        raise RuntimeError("boom")

    monkeypatch.setattr("holdfast.run.store.Store.find_run", broken)
    assert run(["show", "last"]) == 4
    assert "boom" in capsys.readouterr().err


def test_ls_show_diff_and_init_read_what_an_audit_wrote(folder, capsys):
    from holdfast.report import render_json
    from holdfast.run.document import document
    from holdfast.run.gates import gate
    from holdfast.run.verdict import verdict

    store = Store(".holdfast")
    for value in (0.7, 0.9):
        asked = suite(Says(value=value))
        whole = identity(asked, subject())
        name = store.name_run("net", whole, "2026-01-02")
        options_ = {"model": "net.pt", "data": "digits"}
        store.ledger.open_run(name, whole, "net", "double", "t", options_)
        report = audit(asked, subject(), store=store, run=name)
        judged = verdict(report.readings, [gate("clean.accuracy", ">= 0.8")], report.outcomes)
        store.keep(
            name, "results.json", render_json(document(report, subject(), asked.checks, judged))
        )
        store.ledger.close_run(name, "t", "finished", judged.word, judged.code)
    assert run(["ls"]) == 0 and capsys.readouterr().out.count("\n") == 2
    assert run(["show"]) == 0 and "READY" in capsys.readouterr().out
    assert run(["show", "last~1", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["verdict"]["word"] == "NOT READY"
    assert run(["diff", "--json"]) == 0
    (row,) = [r for r in json.loads(capsys.readouterr().out)["readings"] if r["change"]]
    assert row["direction"] == "better" and row["sure"] and abs(row["change"] - 0.2) < 1e-9
    assert run(["init", "--from-run", "last"]) == 0
    own, origin = options.gates()
    assert origin == "holdfast.toml" and own[0].limit == pytest.approx(0.75)
    assert options.project()["audit"]["data"] == "digits"
    assert run(["init"]) == 2


def test_gates_of_a_run_lie_one_width_outside_its_interval():
    line = {"name": "e", "relation": "<=", "value": 0.2, "low": 0.1, "high": 0.3, "unit": "share"}
    rest = {"n": 90, "bound": "estimate", "flags": []}
    assert gates_from({"gates": [line | rest]}) == ({"e": "<= 0.5"}, {})


@pytest.mark.parametrize(("text", "value"), [("90", 90), ("90s", 90), ("5m", 300), ("1h30m", 5400)])
def test_durations(text, value):
    assert options.seconds(text) == value


@pytest.mark.parametrize("text", ["", "m", "5 minutes", "-3", "0s"])
def test_wrong_durations(text):
    with pytest.raises(ConfigError, match="E0104"):
        options.seconds(text)
