"""Every error names a stable code, the place, what is wrong there, and what repairs it."""

from __future__ import annotations

import re

import pytest
from tests.cli.world import WORDS, lay, toml

from holdfast.cli.front import COMMANDS, overview, run

AUDIT = "audit net.pt --arch net.py:build --data rows.npz --profile one.toml"


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = lay(tmp_path_factory.mktemp("errors"))
    (folder / "one.toml").write_text(toml("clean"))
    (folder / "bad.toml").write_text('[[check]]\nuse = "check:clean"\nwrong = 1\n')
    (folder / "torn.toml").write_text("[[check]")
    (folder / "rows.csv").write_text("a,b\n1,2\n")
    (folder / "broken.py").write_text("def build():\n    raise RuntimeError('no')\n")
    return folder


@pytest.mark.parametrize(("line", "where"), [
    ("adit", "holdfast"),
    ("audit --what", "--what"),
    ("audit net.pt --limit none", "--limit"),
    ("audit net.pt --limit 0", "--limit"),
    ("audit net.pt --budget soon", "--budget"),
    (f"{AUDIT} --mean a,b", "--mean"),
    (f"{AUDIT} --on nowhere", "--on"),
    (f"{AUDIT} --threat linf:much", "linf"),
    (f"{AUDIT} --threat lynf:0.1", "lynf"),
    (f"{AUDIT} --against last~7", "last~7"),
    ("audit net.pt --data rows.npz --profile one.toml", "net.pt"),
    ("audit nothing.pt --data rows.npz --arch net.py:build", "nothing.pt"),
    ("audit net.pt --data nothing.npz --arch net.py:build", "nothing.npz"),
    ("audit net.pt --data rows.npz --arch net.py:nothing", "nothing"),
    ("audit net.pt --data rows.npz --arch nowhere.py:build", "nowhere.py"),
    ("audit net.pt --data rows.npz --arch net.py:build --profile bad.toml", "wrong"),
    ("audit net.pt --data rows.npz --arch net.py:build --profile torn.toml", "torn"),
    ("audit net.pt --data rows.npz --arch net.py:build --profile quikc", "quikc"),
    ("show last~3", "last~3"),
    ("show pgdd", "pgdd"),
    ("show E9999", "E9999"),
    ("diff last nothing", "last"),
    ("list atacks", "atacks"),
    ("claim nothing-like-it", "nothing-like-it"),
    ("monitor nothing.csv --reference rows.csv", "nothing.csv"),
    ("monitor rows.csv --reference rows.npz --model net.pt --detector nothing", "nothing"),
    ("harden net.pt", "--data"),
    ("harden net.pt --data rows.npz --recipe magic --arch net.py:build", "magic"),
    ("init --from-run last", "last"),
    ("demo --profile quikc", "quikc"),
    ("ls --what", "--what"),
    ("doctor --what", "--what"),
    ("papers --what", "--what"),
])  # fmt: skip
def test_an_error_teaches(place, monkeypatch, capsys, line, where):
    monkeypatch.chdir(place)
    assert run(line.split()) == 2
    out, err = capsys.readouterr()
    said = re.search(r"^(E0[1-6]\d\d)  (\S.*)\n +(\S.*)", err, re.M)
    assert out == "", "results only on standard output"
    assert said, err
    assert where in said[2], f"does not say where: {err}"
    assert len(said[3].split()) >= 2, f"does not say what repairs it: {err}"


def test_the_names_of_all_commands_stand_in_the_overview():
    text = overview()
    for commands in COMMANDS.values():
        assert all(f"  {name} " in text for name in commands)


def test_a_crash_of_the_users_own_code_is_named_with_its_message(place, monkeypatch, capsys):
    monkeypatch.chdir(place)
    code = run([*WORDS[:3], "broken.py:build", *WORDS[4:], "one.toml"])
    out, err = capsys.readouterr()
    assert (code, out) == (2, "") and "broken.py" in err and "no" in err
