"""Nothing reaches for a network: each test is watched, and an audit runs where there is none."""

from __future__ import annotations

import contextlib
import socket

import pytest
from tests import reach
from tests.cli.world import WORDS, lay
from tests.reliability.confined import confined, python

CODE = """
import json, os, socket, sys
from holdfast.cli.front import run
os.chdir(sys.argv[1])
code = run([*sys.argv[2:], "--exit-zero"])
alone = [name for _, name in socket.if_nameindex()] in ([], ["lo"])
try:
    socket.create_connection(("127.0.0.1", 1), 1)
except OSError as error:
    print(json.dumps({"code": code, "alone": alone, "why": error.strerror}))
"""


@pytest.mark.slow
def test_an_audit_runs_where_there_is_no_network_at_all(tmp_path, figure):
    words = confined("--net")
    told = python(words, CODE, str(lay(tmp_path)), *WORDS, "all.toml")
    assert told == {"code": 0, "alone": True, "why": "Network is unreachable"}
    assert list(tmp_path.glob(".holdfast/runs/*/report.html"))
    figure("audits in a namespace without a network", "1, finished")


@pytest.mark.reaches
def test_the_watch_over_all_tests_hears_what_it_listens_for():
    before = len(reach.SEEN)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as link:
        link.connect(("127.0.0.1", 9))
        assert len(reach.SEEN) == before, "this machine alone"
        with contextlib.suppress(OSError):
            link.connect(("192.0.2.1", 9))  # kept for documents: nobody has it, nothing is sent
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as link:
        link.bind(("", 0))
    with pytest.raises(OSError):
        socket.getaddrinfo("nowhere.invalid", 80)
    assert [s.split()[0] for s in reach.SEEN[before:]] == [
        "socket.connect", "socket.bind", "socket.getaddrinfo",
    ]  # fmt: skip
