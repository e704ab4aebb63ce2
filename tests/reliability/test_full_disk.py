"""A disk that fills up, or may not be written: one clear error, and the same command completes."""

from __future__ import annotations

import re

import pytest
from tests.cli.world import lay
from tests.reliability.confined import confined, python

# Small disks in memory: how many kilobytes are free when the audit begins. Between them the space
# runs out in the ledger, in the cells, in the document and in the report.
FREE = (0, 8, 24, 40, 64, 88, 112, 136, 160, 200, 300, 500, 900)
CODE = """
import contextlib, io, json, os, shutil, sqlite3, subprocess, sys
from pathlib import Path
from holdfast.cli.front import run

laid, disk, sizes = Path(sys.argv[1]), Path(sys.argv[2]), json.loads(sys.argv[3])
words = "audit net.pt --arch net.py:build --data rows.npz --threat linf:0.05 --profile few.toml"
sys.stdout.flush()

def asked():
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = run([*words.split(), "--exit-zero"])
    return {"code": code, "err": err.getvalue()}

def system(*line):
    subprocess.run(line, check=True)

def whole():
    file = Path(".holdfast/ledger.sqlite")
    if not file.exists():
        return "ok"
    with contextlib.closing(sqlite3.connect(file)) as link:
        return link.execute("PRAGMA integrity_check").fetchone()[0]

def document():
    (file,) = Path(".holdfast/runs").glob("*/results.json")
    return file.read_text()

def laid_out():
    for file in laid.iterdir():
        shutil.copy(file, disk)
    os.chdir(disk)

def fill(free):
    left = os.statvfs(disk)
    Path("filler").write_bytes(bytes(max(left.f_bavail * left.f_frsize - free, 0)))

told = []
for free in sizes:
    system("mount", "-t", "tmpfs", "-o", "size=64m", "none", str(disk))
    laid_out()
    if free is None:
        system("mount", "-o", "remount,ro", str(disk))
    else:
        fill(free)
    first = asked()
    if free is None:
        system("mount", "-o", "remount,rw", str(disk))
    else:
        Path("filler").unlink()
    first["ledger"] = whole()
    again = asked()
    told.append({"first": first, "again": again, "ledger": whole(), "document": document()})
    os.chdir("/")
    system("umount", str(disk))
print(json.dumps(told))
"""


@pytest.fixture(scope="module")
def told(tmp_path_factory):
    """What became of an audit on each disk, the last of which may not be written."""
    import json

    words = confined("--mount")
    laid, disk = lay(tmp_path_factory.mktemp("laid")), tmp_path_factory.mktemp("disk")
    sizes = [*(1024 * k for k in FREE), 8 << 20, None]
    return python(words, CODE, str(laid), str(disk), json.dumps(sizes))


def explained(err: str) -> bool:
    """One error with its code, what failed and what to do; never a traceback."""
    codes = re.findall(r"^E\d{4}", err, re.M)
    return codes == ["E0144"] and "Make room" in err and "Traceback" not in err


@pytest.mark.slow
def test_a_full_disk_is_said_and_the_same_command_completes(told, figure):
    *full, roomy, _ = told
    assert roomy["first"]["code"] == 0, roomy["first"]["err"]
    ended = [t for t in full if t["first"]["code"] != 0]
    for one in ended:
        assert one["first"]["code"] == 2 and explained(one["first"]["err"]), one["first"]["err"]
    figure("audits on a full disk", f"{len(ended)}; ledgers damaged: "
           f"{sum(t['first']['ledger'] != 'ok' for t in full)}")  # fmt: skip
    assert len(ended) >= 8
    for one in full:
        assert one["first"]["ledger"] == one["ledger"] == "ok"
        assert one["again"]["code"] == 0, one["again"]["err"]
        assert one["document"] == roomy["document"]


@pytest.mark.slow
def test_a_folder_that_may_not_be_written_is_said_and_the_same_command_completes(told, figure):
    *_, roomy, locked = told
    assert locked["first"]["code"] == 2 and explained(locked["first"]["err"])
    assert "Read-only file system" in locked["first"]["err"]
    assert locked["again"]["code"] == 0 and locked["document"] == roomy["document"]
    figure("audits in a read-only folder", "1, said with its code")
