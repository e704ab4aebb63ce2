"""Trust is said once per contents, by the user and never by a project."""

from __future__ import annotations

import pytest
import torch
from tests.readers import hostile
from torch import nn

from holdfast.core.errors import UntrustedFile
from holdfast.readers import read_model, trust


@pytest.fixture(autouse=True)
def own_state(tmp_path, monkeypatch):
    """A list of trusted contents of each test's own, and a working folder beside it."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    (tmp_path / "project").mkdir()
    monkeypatch.chdir(tmp_path / "project")


def whole(folder, name="whole.pt"):
    path = folder / name
    torch.save(nn.Sequential(nn.Flatten(), nn.Linear(4, 2)), path)
    return path


def exported(folder):
    path = folder / "program.pt2"
    torch.export.save(torch.export.export(nn.Linear(4, 2).eval(), (torch.zeros(3, 4),)), path)
    return path


def script(folder):
    return hostile.torchscript(folder, folder)


@pytest.mark.parametrize("make", [whole, exported, script], ids=lambda f: f.__name__)
def test_trust_is_said_once_per_contents(make, tmp_path):
    path = make(tmp_path)
    with pytest.raises(UntrustedFile, match="--trust"):
        read_model(path)
    assert not trust.ledger().exists(), "a refusal notes nothing"
    read_model(path, trust=True)
    read_model(path)
    moved = path.rename(tmp_path / "elsewhere")
    read_model(moved)
    with moved.open("ab") as file:  # the same name and place with other contents is another file
        file.write(b"\0")
    with pytest.raises(UntrustedFile, match="--trust"):
        read_model(moved)


def test_trusting_twice_notes_once(tmp_path):
    path = whole(tmp_path)
    for _ in range(3):
        read_model(path, trust=True)
    assert trust.ledger().read_text().split() == [trust.fingerprint(path)]


def test_weights_alone_are_never_noted(tmp_path):
    torch.save(nn.Linear(2, 2).state_dict(), tmp_path / "w.pt")
    (tmp_path / "nets.py").write_text("import torch\ndef net(): return torch.nn.Linear(2, 2)\n")
    read_model(tmp_path / "w.pt", arch=f"{tmp_path}/nets.py:net", trust=True)
    assert not trust.ledger().exists()


def test_a_project_cannot_bring_the_trust_in_itself_along(tmp_path):
    path = whole(tmp_path / "project")
    for place in (".holdfast", "."):
        (tmp_path / "project" / place).mkdir(exist_ok=True)
        (tmp_path / "project" / place / "trusted.txt").write_text(trust.fingerprint(path) + "\n")
    with pytest.raises(UntrustedFile):
        read_model(path)


def test_a_list_that_cannot_be_read_or_written_trusts_nothing(tmp_path):
    path = whole(tmp_path)
    (tmp_path / "state").write_text("a file where a folder should be")
    read_model(path, trust=True)
    with pytest.raises(UntrustedFile):
        read_model(path)


def test_a_trusted_model_finds_the_files_beside_it(tmp_path):
    (tmp_path / "beside_the_model.py").write_text(
        "import torch\nclass Own(torch.nn.Linear):\n    pass\n"
    )
    code = "import torch; from beside_the_model import Own; torch.save(Own(4, 2), 'own.pt')"
    import subprocess
    import sys

    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=True)
    with pytest.raises(UntrustedFile, match=r"beside_the_model\.Own"):
        read_model(tmp_path / "own.pt")
    read = read_model(tmp_path / "own.pt", trust=True)
    assert read(torch.zeros(3, 4)).shape == (3, 2)
