"""Untrusted files execute nothing, and no reader opens a socket."""

import gzip
import pickle
import struct
import sys

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file
from tests.readers import hostile
from tests.watched import watched

from holdfast.core.errors import ConfigError, HoldfastError, UntrustedFile
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


def test_every_reader_keeps_to_the_limit(tmp_path):
    save_file({"weight": torch.zeros(999)}, tmp_path / "w.safetensors")
    torch.save({"weight": torch.zeros(999)}, tmp_path / "w.pt")
    for name in ("w.safetensors", "w.pt"):
        with pytest.raises(HoldfastError, match=r"--max-bytes|the limit is"):
            read_model(tmp_path / name, max_bytes=500)
    (tmp_path / "t.csv").write_text("a,y\n" + "0.5,0\n" * 200)
    np.savez(tmp_path / "r.npz", x=np.zeros((99, 9)), y=np.zeros(99))
    (tmp_path / "images").write_bytes(b"\0\0\x08\x01\0\0\x03\xe7" + bytes(999))
    (tmp_path / "labels").write_bytes(b"\0\0\x08\x01\0\0\x03\xe7" + bytes(999))
    (tmp_path / "folder" / "class").mkdir(parents=True)
    Image.new("L", (20, 20)).save(tmp_path / "folder" / "class" / "a.png")
    for name in ("t.csv", "r.npz", "images", "folder"):
        with pytest.raises(HoldfastError, match=r"--max-bytes|the limit is|more than 500 bytes"):
            read_data(tmp_path / name, target="y", max_bytes=500)


def test_gzip_bombs_are_refused(tmp_path):
    path = tmp_path / "t10k-images-idx3-ubyte.gz"
    with gzip.open(path, "wb") as file:
        file.write(b"\0\0\x08\x03" + struct.pack(">3I", 1000, 1000, 1000))
        file.write(bytes(1 << 20))
    with pytest.raises(UntrustedFile):
        read_data(path, max_bytes=1 << 20)
    with pytest.raises(UntrustedFile, match="zip bombs"):
        read_data(path)


def test_packed_tables_are_not_unpacked_beyond_the_limit(tmp_path):
    import duckdb

    path = tmp_path / "bomb.csv.gz"
    with gzip.open(path, "wb") as file:
        file.write(b"a,y\n" + b"1.0,0\n" * 400_000)
    with pytest.raises(UntrustedFile, match="at least") as caught:
        read_data(path, target="y", max_bytes=1 << 20)
    assert "--max-bytes" in caught.value.fix
    assert len(read_data(path, target="y", max_bytes=1 << 22)) == 400_000
    (path := path.with_suffix("")).write_bytes((tmp_path / "bomb.csv.gz").read_bytes())
    assert len(read_data(path, target="y")) == 400_000  # recognised by contents
    path = tmp_path / "bomb.parquet"
    query = "select 1.0::double as a, 0 as y from range(1000000)"
    duckdb.sql(f"copy ({query}) to '{path}' (format parquet, compression zstd)")
    assert path.stat().st_size < 1 << 17
    with pytest.raises(UntrustedFile, match="the limit is"):
        read_data(path, target="y", max_bytes=1 << 22)


def test_hostile_files_start_no_process_and_open_no_socket(tmp_path):
    """All of them in one process that tells what it asked the system for."""
    code = """
from pathlib import Path
from tests.readers import hostile
from tests.watched import watched
from holdfast.core.errors import HoldfastError
from holdfast.readers import read_data, read_model
made, before = [], None
marker = Path("marker").resolve()
for make in hostile.MODELS + hostile.DATA:
    folder = Path(make.__name__)
    folder.mkdir()
    made.append((make, make(folder, marker)))
(Path("wicked.py")).write_text(f"open({str(marker)!r}, 'w').close()")
Path("pickled_pth/wicked.py").write_text(f"open({str(marker)!r}, 'w').close()")
_SEEN.clear()
for make, path in made:
    for read in (read_model, read_data):
        try:
            read(path)
        except HoldfastError:
            continue
        raise SystemExit(f"{path} was read")
assert not marker.exists()
"""
    import tests

    code = f"import sys; sys.path.insert(0, {str(next(iter(tests.__path__)))!r} + '/..')\n" + code
    seen, _ = watched(code, tmp_path)
    assert seen == []


def test_html_in_names_stays_plain_text(tmp_path):
    nasty = "<img src=x onerror=alert(1)>"
    for name in (nasty, "plain"):
        folder = tmp_path / "<b>data" / name
        folder.mkdir(parents=True)
        Image.new("L", (4, 4), 9).save(folder / "<i>.png")
    batches = read_data(tmp_path / "<b>data")
    assert batches.classes == (nasty, "plain") and batches.truth.name == "<b>data"
