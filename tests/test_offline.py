"""Audit, harden, demo and every reader open no internet socket; hostile names stay text."""

from __future__ import annotations

from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tests.watched import watched

TAG = "<img src=x onerror=alert(1)>"
CLASSES = (TAG, "<script>alert(2)<script>")
NET = """
import torch

def net():
    torch.manual_seed(0)
    return torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(36, 2))
"""
AUDIT = f"""
from holdfast.cli.front import run
import torch
from net import net
model = net()
model[1].weight.data = torch.stack([-torch.ones(36), torch.ones(36)])
model[1].bias.data = torch.tensor([18.0, -18.0])
weights = {TAG!r} + ".pt"
torch.save(model.state_dict(), weights)
asked = ["audit", weights, "--arch", "net.py:net", "--data", "<b>rows", "--profile", "quick"]
codes = [run(asked), run([*asked, "--max-bytes", "10000"])]
codes.append(run(["harden", weights, "--arch", "net.py:net", "--data", "<b>rows",
                  "--epochs", "1", "--no-audit", "--max-bytes", "1000000000"]))
print("CODES", codes)
"""
READ = """
import torch, numpy, gzip
from holdfast.readers import read_data, read_model, subject
from safetensors.torch import save_file
from net import net
torch.save(net().state_dict(), "w.pt")
save_file(net().state_dict(), "w.safetensors")
torch.save(net(), "whole.pt")
torch.jit.save(torch.jit.trace(net(), torch.zeros(1, 36)), "script.pt")
torch.export.save(torch.export.export(net(), (torch.zeros(1, 36),)), "program.pt2")
for spec in ("w.pt", "w.safetensors", "net.py:net", "net:net"):
    read_model(spec, arch="net.py:net")
for spec in ("whole.pt", "script.pt", "program.pt2"):
    read_model(spec, trust=True)
read_model(lambda x: x)
open("t.csv", "w").write("a,y\\n0.5,0\\n0.1,1\\n")
open("t.tsv", "w").write("a\\ty\\n0.5\\t0\\n0.1\\t1\\n")
gzip.open("t.csv.gz", "w").write(b"a,y\\n0.5,0\\n0.1,1\\n")
import duckdb
duckdb.sql("copy (select 1.0 as a, 0 as y) to 't.parquet' (format parquet)")
numpy.savez("r.npz", x=numpy.zeros((3, 2)), y=numpy.arange(3))
raw = bytes([0, 0, 8, 3, 0, 0, 0, 2, 0, 0, 0, 2, 0, 0, 0, 2]) + bytes(8)
gzip.open("t10k-images-idx3-ubyte.gz", "w").write(raw)
open("t10k-labels-idx1-ubyte", "wb").write(bytes([0, 0, 8, 1, 0, 0, 0, 2, 0, 1]))
open("rows.py", "w").write("import numpy as n\\ndef rows(): return n.zeros((2, 3)), n.arange(2)")
save_file({"x": torch.zeros(3, 2), "y": torch.arange(3)}, "r.safetensors")
open("r.jsonl", "w").write('{"text": "a", "label": 0}\\n{"text": "b", "label": 1}\\n')
open("p.txt", "w").write("why?\\n")
import os
os.mkdir("set")
open("set/dataset_info.json", "w").write("{}")
duckdb.sql("copy (select 1.0 as a, 0 as y) to 'set/test.parquet' (format parquet)")
for spec in ("r.safetensors", "r.jsonl", "p.txt", "set"):
    assert len(read_data(spec)), spec
for spec in ("digits", "breast-cancer", "synthetic:blobs:9", "synthetic:stripes:9", "t.csv",
             "t.tsv", "t.csv.gz", "t.parquet", "r.npz", "t10k-images-idx3-ubyte.gz", "<b>rows",
             "rows.py:rows"):
    assert len(read_data(spec, target="y")), spec
subject("net.py:net", "digits")
from holdfast.core.errors import ConfigError
for spec in ("http://example.org/m.pt", "hf:org/name", "s3://bucket/t.parquet"):
    for read in (read_data,) if spec.startswith("http") else (read_model, read_data):
        try:
            read(spec)
        except ConfigError:
            continue
        raise SystemExit(f"{spec} was read")
"""
DEMO = """
from holdfast.cli.front import run
open("one.toml", "w").write('[[check]]\\nuse = "check:clean"\\n')
print("CODES", [run(["demo", "--profile", "one.toml"])])
"""


def pictures(root: Path) -> None:
    """Dark and bright pictures in folders with hostile names."""
    g = np.random.default_rng(0)
    for label, name in enumerate(CLASSES):
        (root / name).mkdir(parents=True)
        for k in range(110):
            raw = g.integers(0, 110, (6, 6), np.uint8) + np.uint8(120 * label)
            Image.fromarray(raw).save(root / name / f"<i>{k}.png")


@pytest.fixture(scope="module")
def audited(tmp_path_factory):
    folder = tmp_path_factory.mktemp("offline")
    (folder / "net.py").write_text(NET)
    pictures(folder / "<b>rows")
    seen, said = watched(AUDIT, folder)
    return folder, seen, said


@pytest.mark.slow
def test_audit_and_harden_open_no_internet_socket(audited):
    _, seen, said = audited
    assert "CODES [0, 2, 0]" in said or "CODES [1, 2, 0]" in said, said[-3000:]
    assert [what for kind, what in seen if kind == "socket"] == []


def test_the_limit_of_the_command_line_reaches_the_readers(audited):
    _, _, said = audited
    assert "--max-bytes" in said and "E0135" in said


class Tags(HTMLParser):
    """Every element of a page with its attributes, all text between them, and all programs."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.programs: list[str] = []

    def handle_starttag(self, tag, attrs):
        self.found.append((tag, dict(attrs)))

    def handle_data(self, data):
        program = self.found and self.found[-1] == ("script", {})
        (self.programs if program else self.words).append(data)


def test_html_in_class_and_file_names_ends_up_escaped(audited):
    folder, _, _ = audited
    (page,) = folder.glob(".holdfast/runs/*/report.html")
    html = page.read_text("utf-8")
    tags = Tags()
    tags.feed(html)
    assert TAG not in html and CLASSES[1] not in html
    assert "&lt;img src=x onerror=alert(1)&gt;" in html
    assert any(TAG in words for words in tags.words), "the names are shown, as text"
    for name, own in tags.found:
        assert not any(key.startswith("on") for key in own), (name, own)
        assert (own.get("src") or "data:").startswith("data:"), (name, own)
    assert tags.programs and not any("alert(2)" in program for program in tags.programs)


@pytest.mark.slow
def test_no_reader_opens_an_internet_socket(tmp_path):
    (tmp_path / "net.py").write_text(NET)
    pictures(tmp_path / "<b>rows")
    seen, _ = watched(READ, tmp_path)
    assert [what for kind, what in seen if kind == "socket"] == []


@pytest.mark.slow
def test_the_demo_opens_no_internet_socket(tmp_path):
    seen, said = watched(DEMO, tmp_path)
    assert any(f"CODES [{code}]" in said for code in (0, 1, 3)), said[-3000:]
    assert [what for kind, what in seen if kind == "socket"] == []


def test_the_watch_hears_what_it_listens_for(tmp_path):
    code = """
import os, socket, subprocess
socket.socket(socket.AF_UNIX).close()
socket.socket(socket.AF_INET).close()
try: socket.create_connection(("127.0.0.1", 1), 0.1)
except OSError: pass
subprocess.run(["true"]); os.system("true")
"""
    seen, _ = watched(code, tmp_path)
    assert sum(kind == "socket" for kind, _ in seen) >= 3
    assert sum(kind == "process" for kind, _ in seen) >= 2
