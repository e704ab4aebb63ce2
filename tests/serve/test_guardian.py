"""Who is let in: hosts, keys, cookies, forms; nothing else of the store can be reached."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.serve import shop

pytest.importorskip("starlette", reason="starlette is not installed (extra serve)")
pytest.importorskip("httpx", reason="httpx is not installed (extra dev)")
from starlette.testclient import TestClient

from holdfast.serve.app import application
from holdfast.serve.guardian import Guardian

OWN = "http://127.0.0.1:8724"
FORM = {"Origin": OWN, "Content-Type": "application/x-www-form-urlencoded"}


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("store") / ".holdfast"
    shop.filled(place)
    return place


@pytest.fixture
def guardian() -> Guardian:
    return Guardian("127.0.0.1", 8724)


@pytest.fixture
def stranger(root: Path, guardian: Guardian) -> Iterator[Any]:
    with TestClient(application(root, guardian), base_url=OWN, follow_redirects=False) as client:
        yield client


@pytest.fixture
def guest(stranger: Any, guardian: Guardian) -> Any:
    assert stranger.get(f"/?key={guardian.key}").status_code == 303
    return stranger


def test_a_stranger_sees_nothing_of_any_run(stranger):
    for page in ("/", "/compare", f"/runs/{shop.NEW}", f"/runs/{shop.NEW}/files/results.json",
                 f"/runs/{shop.GOES}/events", "/nothing"):  # fmt: skip
        answer = stranger.get(page)
        assert answer.status_code == 401, page
        assert "demo" not in answer.text and shop.NEW not in answer.text


def test_the_key_is_traded_for_a_cookie_that_scripts_and_other_sites_cannot_use(stranger, guardian):
    first = stranger.get(f"/compare?a=x&key={guardian.key}&b=y")
    assert first.status_code == 303 and first.headers["location"] == "/compare?a=x&b=y"
    cookie = first.headers["set-cookie"]
    assert "HttpOnly" in cookie and "samesite=strict" in cookie.lower()
    assert guardian.key not in cookie
    assert stranger.get("/").status_code == 200


def test_a_locked_page_shows_no_way_further_in(stranger):
    locked = stranger.get("/").text
    assert "holdfast serve" in locked and "<nav" not in locked and "All runs" not in locked


def test_a_page_that_is_not_there_leads_back(guest):
    gone = guest.get("/runs/none").text
    assert "All runs" in gone and "<nav" in gone


@pytest.mark.parametrize("key", ["", "x", "none", "\u00e4"])
def test_a_wrong_key_opens_nothing(stranger, key):
    assert stranger.get("/", params={"key": key}).status_code == 401


def test_the_key_is_no_ticket_and_a_foreign_ticket_is_none(stranger, guardian):
    for ticket in (guardian.key, Guardian("127.0.0.1", 8724).ticket, ""):
        stranger.cookies.clear()
        stranger.cookies.set(guardian.cookie, ticket)
        assert stranger.get("/").status_code == 401


def test_a_welcome_never_leads_elsewhere(stranger, guardian):
    for path in ("//evil.example/", "/\\evil.example"):
        answer = stranger.get(f"{OWN}{path}?key={guardian.key}")
        assert re.match(r"/[^/\\]", answer.headers["location"])


@pytest.mark.parametrize(
    "host",
    ["evil.example", "evil.example:8724", "127.0.0.1:80", "127.0.0.1",
     "127.0.0.1.evil.example:8724",
     "localhost:8724.evil.example", "", "0.0.0.0:8724", "[::1]:1", "127.0.0.1:8724:8724"],
)  # fmt: skip
def test_names_that_are_not_ours_are_turned_away_even_with_a_ticket(guest, host):
    answer = guest.get("/", headers={"Host": host})
    assert answer.status_code == 421 and "demo" not in answer.text


def test_all_names_of_this_machine_are_known():
    own = Guardian("127.0.0.1", 8724)
    assert all(
        own.knows_host(f"{h}:8724") for h in ("127.0.0.1", "localhost", "[::1]", "LOCALHOST")
    )
    everywhere = Guardian("0.0.0.0", 8724)
    assert everywhere.knows_host("192.168.1.7:8724") and everywhere.knows_host("[fe80::1]:8724")
    assert not everywhere.knows_host("evil.example:8724")
    assert Guardian("box.local", 8724).knows_host("box.local:8724")
    assert Guardian("fd00::7", 1).knows_host("[fd00::7]:1")


@pytest.mark.parametrize("page", ["", "/failures", "/ask"])
def test_every_answer_carries_the_headers(guest, page):
    head = guest.get(f"/runs/{shop.NEW}{page}").headers
    policy = head["content-security-policy"]
    assert "default-src 'none'" in policy and "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy and "http:" not in policy and "*" not in policy
    assert head["x-content-type-options"] == "nosniff" and head["x-frame-options"] == "DENY"
    assert head["referrer-policy"] == "same-origin" and head["cache-control"] == "no-store"


def test_a_report_is_shown_without_an_origin(guest):
    answer = guest.get(f"/runs/{shop.NEW}/files/report.html")
    assert answer.headers["content-type"].startswith("text/html")
    policy = answer.headers["content-security-policy"]
    assert policy.startswith("sandbox") and "allow-same-origin" not in policy


@pytest.mark.parametrize(
    "run",
    ["..%2f..%2fetc", "%2fetc", "%252e%252e", ".hidden", "a%00b", "x" * 300,
     f"{shop.NEW}%2f..%2f{shop.OLD}", f"{shop.NEW}%5c..", "CON", "ledger.sqlite"],
)  # fmt: skip
@pytest.mark.parametrize("tail", ["", "/failures", "/ask", "/events", "/files/results.json"])
def test_no_name_of_a_run_leads_out_of_the_store(guest, run, tail):
    assert guest.get(f"{OWN}/runs/{run}{tail}").status_code in (404, 405)


@pytest.mark.parametrize(
    "name",
    ["../../ledger.sqlite", "..%2f..%2fledger.sqlite", "%2fetc%2fpasswd", "live.json",
     ".results.json.x.part", "errors", "secret.txt", "link.md"],
)  # fmt: skip
def test_only_known_files_of_a_run_are_shown(guest, root, name):
    place = root / "runs" / shop.NEW
    (place / "secret.txt").write_text("hidden words")
    answer = guest.get(f"{OWN}/runs/{shop.NEW}/files/{name}")
    assert answer.status_code == 404 and "hidden words" not in answer.text


def test_a_link_out_of_the_store_is_not_followed(guest, root, tmp_path):
    (tmp_path / "results.json").write_text('{"verdict": {"word": "STOLEN"}}')
    (root / "runs" / "2026-01-01-link").symlink_to(tmp_path)
    summary = root / "runs" / shop.OLD / "summary.md"
    kept = summary.read_text()
    summary.unlink()
    summary.symlink_to("/etc/hosts")
    try:
        assert guest.get("/runs/2026-01-01-link").status_code == 404
        assert guest.get(f"/runs/{shop.OLD}/files/summary.md").status_code == 404
    finally:
        (root / "runs" / "2026-01-01-link").unlink()
        summary.unlink()
        summary.write_text(kept)


@pytest.mark.parametrize(
    ("origin", "token", "status"),
    [(OWN, None, 303), (OWN, "", 403), (OWN, "x", 403), ("http://evil.example", None, 403),
     ("null", None, 403), ("http://127.0.0.1:9", None, 403), ("https://127.0.0.1:8724", None, 403),
     ("", None, 403)],
)  # fmt: skip
def test_only_forms_of_our_own_pages_are_taken(guest, guardian, root, origin, token, status):
    place = root / "runs" / shop.READY / "notes.json"
    place.unlink(missing_ok=True)
    sent = {"name": "Eve", "text": "mine", "token": guardian.token if token is None else token}
    headers = {"Origin": origin} if origin else {}
    answer = guest.post(f"/runs/{shop.READY}/notes", data=sent, headers=headers)
    assert answer.status_code == status
    assert place.exists() == (status == 303)
    asked = {"sql": "SELECT 42", "token": sent["token"]}
    answer = guest.post(f"/runs/{shop.READY}/ask", data=asked, headers=headers)
    assert (answer.status_code == 200 and ">42<" in answer.text) == (status == 303)
    place.unlink(missing_ok=True)


def test_a_form_without_a_ticket_is_not_read(stranger, guardian):
    sent = {"name": "Eve", "text": "mine", "token": guardian.token}
    answer = stranger.post(f"/runs/{shop.READY}/notes", data=sent, headers={"Origin": OWN})
    assert answer.status_code == 401


@pytest.mark.parametrize(
    ("body", "kind", "status"),
    [("x=" + "y" * 70_000, FORM["Content-Type"], 413), ("a=1&" * 40, FORM["Content-Type"], 413),
     ('{"name": "x"}', "application/json", 415), ("x", "text/plain", 415),
     ("--b\r\n", "multipart/form-data; boundary=b", 415)],
)  # fmt: skip
def test_forms_are_bounded_and_of_one_kind(guest, body, kind, status):
    answer = guest.post(
        f"/runs/{shop.NEW}/notes", content=body, headers={"Origin": OWN, "Content-Type": kind}
    )
    assert answer.status_code == status


@pytest.mark.parametrize("way", ["PUT", "DELETE", "PATCH", "OPTIONS", "TRACE"])
def test_other_ways_to_ask_are_refused(guest, way):
    assert guest.request(way, f"/runs/{shop.NEW}").status_code == 405


def test_without_a_key_everybody_on_this_machine_is_let_in_but_forms_stay_guarded(root):
    open_ = Guardian("127.0.0.1", 8724, key="")
    with TestClient(application(root, open_), base_url=OWN) as client:
        assert client.get("/").status_code == 200
        assert client.get("/", headers={"Host": "evil.example:8724"}).status_code == 421
        sent = {"name": "Eve", "text": "mine", "token": ""}
        answer = client.post(f"/runs/{shop.NEW}/notes", data=sent, headers={"Origin": OWN})
        assert answer.status_code == 403
