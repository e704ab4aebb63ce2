"""Gates in a pipeline: written from a run, kept by that run, accepted for a time, annotated."""

from __future__ import annotations

import json
import random
import re
import shlex
import shutil
from datetime import date, timedelta
from pathlib import Path

import pytest
from tests.cli.world import WORDS, copied, lay, toml

from holdfast.cli import front
from holdfast.cli.front import run
from holdfast.cli.hosts import FILES, pipeline, seen_from_root
from holdfast.cli.init import gates_from, outward
from holdfast.core.errors import ConfigError
from holdfast.core.records import Outcome, Reading
from holdfast.run.gates import gate, gates_of
from holdfast.run.reading import proportion
from holdfast.run.store import Store
from holdfast.run.verdict import verdict
from holdfast.run.writing import plain

FAILS = '[gate]\n# nobody reads so well\n"clean.accuracy" = "<= 0.5"\n'


@pytest.fixture(scope="module")
def audited(tmp_path_factory):
    """A folder in which one quick audit is finished."""
    folder = lay(tmp_path_factory.mktemp("gates"))
    (folder / "one.toml").write_text(toml("clean", "calibration"))
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.delenv("GITHUB_ACTIONS", raising=False)
        assert run([*WORDS, "one.toml"]) in (0, 1, 3)
    return folder


@pytest.fixture
def here(audited, tmp_path, monkeypatch):
    """A copy of that folder to work in, on no code host."""
    folder = copied(audited, tmp_path, monkeypatch)
    for name in ("GITHUB_ACTIONS", "GITHUB_WORKSPACE", "CI_PROJECT_DIR"):
        monkeypatch.delenv(name, raising=False)
    return folder


def latest(folder: Path) -> Path:
    store = Store(folder / ".holdfast")
    return store.folder(store.find_run("last").id)


def test_written_gates_pass_on_the_very_run_whatever_its_numbers():
    rng = random.Random(3)
    for _ in range(300):
        scale, exact = 10 ** rng.uniform(-9, 5), rng.random() < 0.3
        low, value, high = sorted(rng.uniform(-0.2, 1) * scale for _ in range(3))
        share = rng.random() < 0.5
        if share:
            low, value, high = (min(max(v, 0.0), 1.0) for v in (low, value, high))
        ends = (value, value, value) if exact else (value, low, high)
        flags = ("masked",) if rng.random() < 0.2 else ()
        read = Reading(
            name="a", value=ends[0], low=ends[1], high=ends[2], n=9, flags=flags,
            bound=rng.choice(("upper", "estimate")), unit="share" if share else "nats",
        )  # fmt: skip
        old = gate("a", f"{rng.choice(('>=', '<=', '<', '>'))} 0.5")
        fine = [Outcome(check="check:clean")]
        rules, left = gates_from(plain(verdict([read], [old], fine)))
        assert len(rules) + len(left) == 1
        again = verdict([read], gates_of(rules), fine)
        assert again.code == 0 and [g.verdict for g in again.gates] in (["pass"], [])
        assert bool(left) == (bool(flags) and read.bound == "upper" and ">" in old.relation)
        if rules and not exact and not share:
            limit, width = float(rules["a"].split()[1]), high - low
            wanted = low - width if ">" in old.relation else high + width
            assert abs(limit - wanted) <= 0.011 * abs(wanted)


def test_a_model_that_is_measured_again_keeps_its_written_gates():
    """Other rows of the same model: it never fails, and hardly ever comes too close to call."""
    rng, ends = random.Random(5), {"pass": 0, "undecided": 0, "fail": 0}
    for _ in range(400):
        share, n = rng.choice((0.5, 0.8, 0.97)), rng.choice((100, 300))
        counts = [sum(rng.random() < share for _ in range(n)) for _ in range(2)]
        first, second = (proportion("a", c, n) for c in counts)
        fine = [Outcome(check="check:clean")]
        rules, _ = gates_from(plain(verdict([first], [gate("a", ">= 0.1")], fine)))
        (line,) = verdict([second], gates_of(rules), fine).gates
        ends[line.verdict] += 1
    assert ends["fail"] == 0 and ends["undecided"] <= 400 * 0.01, ends


@pytest.mark.parametrize(
    ("value", "down", "up"),
    [(0.98765, "0.987", "0.988"), (-0.98765, "-0.988", "-0.987"), (1.0, "1", "1"), (0.0, "0", "0"),
     (1234567.0, "1230000", "1240000"), (0.5, "0.5", "0.5"), (3.14159e-7, "0.000000314",
     "0.000000315")],
)  # fmt: skip
def test_limits_are_rounded_to_the_side_that_asks_for_less(value, down, up):
    assert (outward(value, True), outward(value, False)) == (down, up)


@pytest.mark.parametrize("host", ["github", "gitlab"])
def test_init_writes_gates_and_a_pipeline_at_which_the_same_run_passes(host, here, capsys):
    assert run(["init", "--from-run", "last", "--ci", host]) == 0
    place = here / FILES[host][0]
    assert place.read_text() == FILES[host][1]
    err = capsys.readouterr().err
    assert f"wrote {FILES[host][0]}" in err and "no gate for attacks.worst" in err
    before = json.loads((latest(here) / "results.json").read_text())
    assert run(["audit"]) == 0
    after = json.loads((latest(here) / "results.json").read_text())
    assert [g["verdict"] for g in after["gates"]] == ["pass"] * len(after["gates"])
    width = {g["name"]: g["high"] - g["low"] for g in before["gates"] if g["value"] is not None}
    for g in after["gates"]:
        slack = g["low"] - g["limit"] if g["relation"] == ">=" else g["limit"] - g["high"]
        assert slack >= width[g["name"]] * 0.999 or g["limit"] in (0.0, 1.0)
    place.write_text("mine")
    assert run(["init", "--ci", host]) == 2
    assert "E0128" in capsys.readouterr().err and place.read_text() == "mine"
    assert run(["init", "--ci", host, "--force"]) == 0 and place.read_text() != "mine"


@pytest.mark.parametrize("host", ["github", "gitlab"])
def test_the_ready_files_are_short_and_hold_commands_that_exist(host):
    text = FILES[host][1]
    assert len(text.splitlines()) <= 15 and "\t" not in text
    pairs = {"{": "}", "[": "]", "(": ")"}
    assert all(text.count(a) == text.count(b) for a, b in pairs.items())
    lines = re.findall(r"holdfast audit [^\n}]*", text)
    assert lines
    for line in lines:
        words = shlex.split(line)[1:]
        front.command(words[0]).make_context("holdfast", words[1:])  # refuses unknown options


def test_the_host_is_seen_from_the_folder(tmp_path):
    assert list(pipeline("auto", tmp_path)) == [tmp_path / ".github/workflows/holdfast.yml"]
    (tmp_path / ".git").mkdir()
    (tmp_path / ".git/config").write_text('[remote "origin"]\nurl = git@gitlab.com:a/b.git\n')
    assert list(pipeline("auto", tmp_path)) == [tmp_path / ".gitlab-ci.yml"]
    assert pipeline("none", tmp_path) == {}
    with pytest.raises(ConfigError, match="E0178"):
        pipeline("jenkins", tmp_path)


def test_annotations_name_the_line_of_the_gate(here, capsys, monkeypatch):
    (here / "holdfast.toml").write_text(FAILS)
    assert run([*WORDS, "one.toml"]) == 1
    assert "::" not in capsys.readouterr().out
    assert run([*WORDS, "one.toml", "--github"]) == 1
    assert "::error file=holdfast.toml,line=3,title=" in capsys.readouterr().out
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    monkeypatch.setenv("GITHUB_WORKSPACE", str(here.parent))
    assert run([*WORDS, "one.toml", "--json", "--sarif", "s.json"]) == 1
    out, err = capsys.readouterr()
    assert json.loads(out)["verdict"]["code"] == 1
    assert "::error file=work/holdfast.toml,line=3,title=" in err
    result = json.loads((here / "s.json").read_text())["runs"][0]["results"][0]
    place = result["locations"][0]["physicalLocation"]
    assert place["artifactLocation"]["uri"] == "work/holdfast.toml"
    assert place["region"]["startLine"] == 3
    monkeypatch.setenv("GITHUB_WORKSPACE", str(here / "elsewhere"))
    assert seen_from_root("holdfast.toml") == "holdfast.toml"


def accepted(until: date) -> str:
    return (
        f'{FAILS}[[accepted]]\ngate = "clean.accuracy"\nname = "Anna"\n'
        f'reason = "sealed camera"\nuntil = {until}\n'
    )


def test_an_accepted_risk_ends_with_its_day(here, capsys):
    today = date.fromisoformat(json.loads((latest(here) / "run.json").read_text())["day"])
    (here / "holdfast.toml").write_text(accepted(today + timedelta(365)))
    assert run([*WORDS, "one.toml", "--junit", "j.xml", "--markdown", "m.md"]) == 0
    out = capsys.readouterr().out
    assert "≈ clean.accuracy" in out and "accepted by Anna" in out and "READY" in out
    assert "sealed camera" in (here / "j.xml").read_text() + (here / "m.md").read_text()
    held = (latest(here) / "results.json").read_text()
    assert today.isoformat() not in held and json.loads(held)["gates"][0]["verdict"] == "accepted"
    assert json.loads((latest(here) / "run.json").read_text())["day"] >= today.isoformat()

    (here / "holdfast.toml").write_text(accepted(today - timedelta(365)))
    assert run([*WORDS, "one.toml"]) == 1
    out, err = capsys.readouterr()
    assert "fails again, the acceptance by Anna ended on" in out and "E01" not in err
    assert run([*WORDS, "one.toml", "--exit-zero"]) == 0
    assert "NOT READY" in capsys.readouterr().out


def test_an_acceptance_that_lacks_its_reason_is_a_usage_error(here, capsys):
    (here / "holdfast.toml").write_text(f'{FAILS}[[accepted]]\ngate = "clean.accuracy"\n')
    assert run([*WORDS, "one.toml"]) == 2
    assert "E0176" in capsys.readouterr().err


def test_a_relative_gate_is_counted_from_a_run_or_from_files_brought_along(here, capsys):
    (here / "holdfast.toml").write_text('[gate]\n"clean.accuracy" = ">= baseline - 0.2"\n')
    assert run([*WORDS, "one.toml"]) == 3
    assert "no baseline" in capsys.readouterr().out
    assert run([*WORDS, "one.toml", "--against", "last"]) == 0
    shutil.copytree(latest(here), here / "main")
    for place in ("main", "main/results.json"):
        assert run([*WORDS, "one.toml", "--against", place]) == 0
    (here / "main/results.json").write_text("[]")
    assert run([*WORDS, "one.toml", "--against", "main"]) == 2
    assert "E0177" in capsys.readouterr().err
    assert run([*WORDS, "one.toml", "--against", "nowhere"]) == 2
