"""Untrusted files execute nothing, and no reader opens a socket."""

import gzip
import pickle
import socket
import struct
import sys

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file
from tests.readers import hostile

from holdfast.core.errors import ConfigError, UntrustedFile
from holdfast.readers import archive, read_data, read_model

NET = """
import torch

class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1 = torch.nn.Linear(2, 3)
        self.head = torch.nn.Linear(3, 2)

    def forward(self, x):
        return self.head(self.conv1(x))
"""


@pytest.mark.parametrize("make", hostile.MODELS, ids=lambda f: f.__name__)
def test_hostile_models_are_refused_unread(make, tmp_path):
    marker = tmp_path / "marker"
    path = make(tmp_path, marker)
    for arch in (None, "nowhere:net"):
        with pytest.raises(UntrustedFile) as caught:
            read_model(path, arch=arch)
        assert caught.value.fix and caught.value.code.startswith("E04")
    assert not marker.exists()


@pytest.mark.parametrize("make", hostile.DATA, ids=lambda f: f.__name__)
def test_hostile_data_are_refused_unread(make, tmp_path):
    marker = tmp_path / "marker"
    path = make(tmp_path, marker)
    with pytest.raises(UntrustedFile) as caught:
        read_data(path, target="y")
    assert caught.value.fix and not marker.exists()


def test_the_fixtures_are_hostile(tmp_path):
    for number, load in enumerate(
        (
            lambda m: torch.load(hostile.pickled_pth(tmp_path, m), weights_only=False),
            lambda m: pickle.loads(hostile.evil(m)),
            lambda m: pickle.loads(hostile.old_pickle(tmp_path, m).read_bytes()),
            lambda m: np.load(hostile.object_npz(tmp_path, m), allow_pickle=True)["y"],
        )
    ):
        marker = tmp_path / f"marker{number}"
        load(marker)
        assert marker.exists()


def test_the_refusal_names_what_the_pickle_asks_for(tmp_path):
    with pytest.raises(UntrustedFile, match=r"builtins\.exec"):
        read_model(hostile.pickled_pth(tmp_path, tmp_path / "marker"))


def test_programs_are_never_handed_to_their_loaders(tmp_path, monkeypatch):
    def never(*args, **kwargs):
        raise RuntimeError("was loaded")

    for owner, name in ((torch.jit, "load"), (torch, "load"), (torch.export, "load")):
        monkeypatch.setattr(owner, name, never)
    for make in (hostile.torchscript, hostile.pt2_weight, hostile.pt2_expression):
        with pytest.raises(UntrustedFile, match="can run any code"):
            read_model(make(tmp_path, tmp_path / "marker"))


def test_trust_loads_a_program(tmp_path):
    read = read_model(hostile.torchscript(tmp_path, tmp_path), trust=True)
    assert read.about["kind"] == "torchscript" and read(torch.zeros(3, 2)).shape == (3, 2)


def test_python_files_beside_weights_are_parsed_not_imported(tmp_path, monkeypatch):
    marker = tmp_path / "marker"
    (tmp_path / "other.py").write_text(f"open({str(marker)!r}, 'w').close()\nclass Other: pass\n")
    (tmp_path / "nets.py").write_text(f"open({str(marker)!r}, 'w').close()\n{NET}")
    (tmp_path / "broken.py").write_text("def (:")
    model = torch.nn.ModuleDict({"conv1": torch.nn.Linear(2, 3), "head": torch.nn.Linear(3, 2)})
    torch.save(model.state_dict(), tmp_path / "w.pt")
    monkeypatch.chdir(tmp_path)
    before = set(sys.modules)
    with pytest.raises(ConfigError) as caught:
        read_model("w.pt")
    assert caught.value.code == "E0117" and "nets.py:Net" in caught.value.fix
    assert "other.py" not in caught.value.fix and not marker.exists()
    assert not any("nets" in name for name in set(sys.modules) - before)
    read_model("w.pt", arch="nets.py:Net")  # named by the user: now it runs
    assert marker.exists()


@pytest.mark.parametrize("second", ["data.pkl", "DATA.PKL"])
@pytest.mark.parametrize("name", ["a.pt", "a.npz"])
def test_duplicate_members_are_refused(name, second, tmp_path):
    path = hostile.twice(tmp_path, name, second)
    with pytest.raises(UntrustedFile, match="twice"):
        (read_data if name.endswith("npz") else read_model)(path)


@pytest.mark.parametrize("name", ["a.pt", "a.npz"])
def test_zip_bombs_are_refused(name, tmp_path, monkeypatch):
    path = hostile.bomb(tmp_path, name, 1 << 20)
    read = read_data if name.endswith("npz") else read_model
    with pytest.raises(UntrustedFile, match="the limit is"):
        read(path, max_bytes=1 << 19)
    monkeypatch.setattr(archive, "RATIO_FROM", 1 << 16)
    with pytest.raises(UntrustedFile, match="zip bomb"):
        read(path)


def test_limits_are_the_promised_ones():
    assert (archive.MAX_BYTES, archive.RATIO_FROM, archive.RATIO) == (4 << 30, 256 << 20, 200)
    archive.checked_size("f", 256 << 20, 1)
    with pytest.raises(UntrustedFile):
        archive.checked_size("f", (256 << 20) + 1, 1 << 20)
    with pytest.raises(UntrustedFile):
        archive.checked_size("f", (4 << 30) + 1, 4 << 30)


def test_gzip_bombs_are_refused(tmp_path):
    path = tmp_path / "t10k-images-idx3-ubyte.gz"
    with gzip.open(path, "wb") as file:
        file.write(b"\0\0\x08\x03" + struct.pack(">3I", 1000, 1000, 1000))
        file.write(bytes(1 << 20))
    with pytest.raises(UntrustedFile):
        read_data(path, max_bytes=1 << 20)
    with pytest.raises(UntrustedFile, match="zip bombs"):
        read_data(path)


def test_html_in_names_stays_plain_text(tmp_path):
    nasty = "<img src=x onerror=alert(1)>"
    for name in (nasty, "plain"):
        folder = tmp_path / "<b>data" / name
        folder.mkdir(parents=True)
        Image.new("L", (4, 4), 9).save(folder / "<i>.png")
    batches = read_data(tmp_path / "<b>data")
    assert batches.classes == (nasty, "plain") and batches.truth.name == "<b>data"


def test_no_reader_opens_a_socket(tmp_path, monkeypatch):
    def refused(*args, **kwargs):
        raise AssertionError("a reader wants to reach the network")

    for name in ("connect", "connect_ex", "bind"):
        monkeypatch.setattr(socket.socket, name, refused)
    monkeypatch.setattr(socket, "getaddrinfo", refused)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "t.csv").write_text("a,y\n0.5,0\n0.1,1\n")
    np.savez("r.npz", x=np.zeros((3, 2)), y=np.arange(3))
    (tmp_path / "nets.py").write_text(NET)
    model = torch.nn.ModuleDict({"conv1": torch.nn.Linear(2, 3), "head": torch.nn.Linear(3, 2)})
    torch.save(model.state_dict(), "w.pt")
    save_file(model.state_dict(), "w.safetensors")
    for spec in ("digits", "breast-cancer", "synthetic:blobs:9", "t.csv", "r.npz"):
        assert len(read_data(spec, target="y"))
    for spec in ("w.pt", "w.safetensors"):
        assert read_model(spec, arch="nets.py:Net").about["parameters"] == 17
    for spec in ("http://example.org/m.pt", "hf:org/name"):
        with pytest.raises(ConfigError):
            read_model(spec)
        with pytest.raises(ConfigError):
            read_data(spec)
