"""Every code of the catalogue is provoked, and the command that its page suggests then works."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import socket
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
from tests.cli.errors import before, brought, elsewhere
from tests.cli.errors.folder import ONNX, hosted, made
from tests.cli.plugin_bench import forgetting

import holdfast
from holdfast.cli.error_pages import FAMILIES, Page, pages
from holdfast.cli.front import run
from holdfast.core import errors

SOURCE = Path(holdfast.__file__).parent
ENDED = (0, 1, 3)  # pass, a gate fails, undecided: the command did what was asked
SERVER = find_spec("uvicorn") is not None and find_spec("starlette") is not None
PAGES = pages()
AROUND = before.AROUND | brought.AROUND
EXITS = {"E0700": 130, "E0740": 3, "E0500": 4, "E0001": 4}


def raised() -> set[str]:
    """Every code that the source gives to an error, and those of the families."""
    found = {f"{kind.family}00" for kind in vars(errors).values() if hasattr(kind, "family")}
    for file in SOURCE.rglob("*.py"):
        found |= set(re.findall(r'"(E0\d{3})(?:  |")', file.read_text("utf-8")))
    return found - elsewhere.NEVER_BARE


def test_every_code_has_a_page_and_every_page_a_code():
    assert sorted(raised() - PAGES.keys()) == [], "write them into cli/errors.toml"
    assert sorted(PAGES.keys() - raised()) == [], "nothing raises them any more"
    assert len(PAGES) >= 80
    assert {code[:3] for code in PAGES} == FAMILIES.keys()


@pytest.mark.parametrize("code", PAGES)
def test_a_page_is_short_and_whole(code):
    page = PAGES[code]
    assert page.title[0].isupper() and len(page.title) <= 60
    for text in (page.cause, page.fix):
        assert text.endswith(".") and 4 <= len(text.split()) <= 60
    assert page.example.startswith(("holdfast ", "pip install "))
    assert page.case.startswith("holdfast ") or not page.case
    assert not page.case or page.case != page.example or code in AROUND


@pytest.fixture(scope="module")
def laid(tmp_path_factory):
    return made(tmp_path_factory.mktemp("laid"))


@pytest.fixture
def here(laid, tmp_path, monkeypatch):
    folder = tmp_path / "work"
    shutil.copytree(laid, folder)
    monkeypatch.chdir(folder)
    monkeypatch.setattr("holdfast.readers.endpoint.posted", hosted)
    if SERVER:
        monkeypatch.setattr("uvicorn.Server.run", interrupted)
    with forgetting():
        yield folder


def interrupted(self: object, sockets: list[socket.socket]) -> None:
    """Ctrl-C as soon as the dashboard listens."""
    for each in sockets:
        each.close()
    raise KeyboardInterrupt


def lacking(page: Page) -> str:
    """The extra without which the commands of a page say something else; empty for none."""
    words = f"{page.case} {page.example}"
    if "onnx" in words and not ONNX:
        return "the extra onnx is not installed"
    if page.example.startswith("holdfast serve") and "--export" not in words and not SERVER:
        return "the extra serve is not installed"
    return ""


def told(line: str, capsys) -> tuple[int, str]:
    """The exit code of a command, and the code of the error that it printed."""
    words = shlex.split(line)
    assert words[0] == "holdfast"
    code = run(words[1:])
    err = capsys.readouterr().err
    found = re.search(r"^(E0\d{3})  \S", err, re.M)
    return code, found[1] if found else err[-500:]


@pytest.mark.parametrize("code", [c for c in PAGES if c not in elsewhere.CASES])
def test_the_case_provokes_it_and_the_example_works(code, here, capsys):
    page, around = PAGES[code], AROUND.get(code, before.Around(lambda folder: None))
    if why := lacking(page):
        pytest.skip(why)
    around.before(here)
    assert told(page.case, capsys) == (2, code)
    around.after(here)
    ended, said = told(page.example, capsys)
    assert ended in ENDED, said


@pytest.mark.parametrize("code", elsewhere.CASES)
def test_what_no_command_line_provokes_is_provoked_otherwise(code, here, capsys, monkeypatch):
    page = PAGES[code]
    if (why := lacking(page)) and not code.startswith("E06"):
        pytest.skip(why)
    with monkeypatch.context() as patch:
        said = elsewhere.CASES[code](here, patch, lambda line: told(line, capsys), page)
    assert said == (EXITS.get(code, 2), code)
    if page.example.startswith("pip install"):
        assert elsewhere.installs(page.example)
    else:
        ended, after = told(page.example, capsys)
        assert ended in ENDED, after


def test_show_prints_the_page_and_imports_no_torch(here, capsys):
    assert run(["show", "e0117"]) == 0
    out = capsys.readouterr().out
    page = PAGES["E0117"]
    assert page.title in out and page.example in out and page.family in out
    assert run(["show", "E0117", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["fix"] == page.fix
    light = (
        "import sys; from holdfast.cli.front import run; run(['show', 'E0117']); "
        "sys.exit(bool({'torch', 'numpy'} & sys.modules.keys()))"
    )
    assert subprocess.run([sys.executable, "-c", light], check=False).returncode == 0


def test_an_unknown_code_names_its_neighbours(capsys):
    assert run(["show", "E0193"]) == 2
    assert "E0117" in capsys.readouterr().err
