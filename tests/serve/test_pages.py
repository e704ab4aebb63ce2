"""What the pages say: lists and filters, runs, comparisons, notes; hostile names stay text."""

from __future__ import annotations

import json
import shutil
from html.parser import HTMLParser
from pathlib import Path

import pytest
from tests.serve import shop

from holdfast.core.errors import ConfigError
from holdfast.serve import pages
from holdfast.serve.export import export, pairs
from holdfast.serve.frame import Frame
from holdfast.serve.live import pulse
from holdfast.serve.notes import LONGEST, MOST, Notes
from holdfast.serve.pages import Sought
from holdfast.serve.pairs import compare_page
from holdfast.serve.shelf import Shelf

FRAME = Frame(token="form-token", store="here/.holdfast")


class Seen(HTMLParser):
    """Elements with their attributes, and the text outside scripts and styles."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words, self._inside = "", ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self._inside = tag

    def handle_endtag(self, tag: str) -> None:
        self._inside = ""

    def handle_data(self, data: str) -> None:
        if self._inside not in ("script", "style"):
            self.words += data


@pytest.fixture(scope="module")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> Shelf:
    place = tmp_path_factory.mktemp("store") / ".holdfast"
    shop.filled(place)
    return Shelf(place)


@pytest.fixture
def own(shelf: Shelf, tmp_path: Path) -> Shelf:
    """A shelf that a test may change."""
    shutil.copytree(shelf.root, tmp_path / ".holdfast")
    return Shelf(tmp_path / ".holdfast")


def listed(shelf: Shelf, **sought: str) -> list[str]:
    page = Seen(pages.runs_page(shelf, FRAME, Sought.read(sought)))
    return [str(a["value"]) for t, a in page.tags if t == "input" and a.get("name") == "pick"]


@pytest.mark.parametrize(
    ("sought", "found"),
    [
        ({}, [shop.DEAD, shop.GOES, shop.EVIL, shop.READY, shop.NEW, shop.OLD]),
        ({"model": "demo.pt"}, [shop.NEW, shop.OLD]),
        ({"data": "cifar-test"}, [shop.READY]),
        ({"verdict": "NOT READY"}, [shop.NEW, shop.OLD]),
        ({"verdict": "RUNNING"}, [shop.GOES]),
        ({"verdict": "STOPPED"}, [shop.DEAD]),
        ({"q": "mislabelled CLASS"}, [shop.NEW]),
        ({"q": "demo 91bc"}, [shop.OLD]),
        ({"model": "demo.pt", "q": "nothing like it"}, []),
        ({"model": shop.HOSTILE}, [shop.EVIL]),
    ],
)
def test_the_list_is_narrowed_by_the_query(shelf, sought, found):
    assert listed(shelf, **sought) == found


def test_a_query_comes_back_in_the_form(shelf):
    page = Seen(pages.runs_page(shelf, FRAME, Sought.read({"q": '"><b>x', "verdict": "READY"})))
    assert ("input", '"><b>x') in [(t, a.get("value")) for t, a in page.tags if a.get("id") == "q"]
    chosen = [a["value"] for t, a in page.tags if t == "option" and "selected" in a]
    assert chosen == ["READY"]


@pytest.mark.parametrize("name", ["run", "failures", "ask", "list", "compare"])
def test_hostile_names_stay_text_on_every_page(shelf, name):
    page = {
        "run": lambda: pages.run_page(shelf, FRAME, shop.EVIL),
        "failures": lambda: pages.failures_page(shelf, FRAME, shop.EVIL),
        "ask": lambda: pages.ask_page(shelf, FRAME, shop.EVIL, shop.SCRIPT),
        "list": lambda: pages.runs_page(shelf, FRAME, Sought()),
        "compare": lambda: compare_page(shelf, FRAME, shop.EVIL, shop.NEW),
    }[name]()
    seen = Seen(page)
    assert shop.HOSTILE in seen.words
    assert not [t for t, a in seen.tags if t == "img" and "onerror" in a]
    assert len([t for t, _ in seen.tags if t == "script"]) == 1
    assert not [k for _, a in seen.tags for k in a if k.startswith("on") or k == "style"]


def test_a_run_shows_its_verdict_gates_numbers_files_and_notes(shelf):
    page = Seen(pages.run_page(shelf, FRAME, shop.NEW))
    for words in ("NOT READY", "Worst-case accuracy", "31.2%", "[28.2, 34.2]", "upper bound",
                  "Calibration error", "The suite quick leaves it out.", "Class 8 is mislabelled",
                  "Ada", "summary.md", "Compare with 2026-11-18"):  # fmt: skip
        assert words in page.words, words
    links = [a.get("href") for t, a in page.tags if t == "a"]
    assert f"/runs/{shop.NEW}/files/report.html" in links
    tokens = [a["value"] for t, a in page.tags if t == "input" and a.get("name") == "token"]
    assert tokens and set(tokens) == {"form-token"}


def test_the_verdict_is_read_and_never_decided(own):
    place = own.store.folder(shop.NEW) / "results.json"
    results = json.loads(place.read_text())
    results["verdict"] = {"word": "READY", "code": 0, "says": "All gates pass."}
    place.write_text(json.dumps(results))
    assert own.card(shop.NEW).word == "READY"
    assert "All gates pass." in Seen(pages.run_page(own, FRAME, shop.NEW)).words


def test_failures_are_shown_as_pictures_with_both_answers(shelf):
    page = Seen(pages.failures_page(shelf, FRAME, shop.NEW))
    pictures = [a for t, a in page.tags if t == "img"]
    assert len(pictures) >= 6 and all(str(a["src"]).startswith("data:image/png") for a in pictures)
    assert all(a["alt"] for a in pictures)


def test_a_comparison_shows_what_differs_and_marks_what_is_equal(shelf):
    page = compare_page(shelf, FRAME, shop.OLD, shop.NEW)
    seen = Seen(page)
    rows = [a.get("class") or "" for t, a in seen.tags if t == "tr"]
    assert "1 better" in seen.words and "0 worse" in seen.words and "+19.1 pt" in seen.words
    assert rows.count("same equal") == 16 and rows.count("pass") == 1
    assert "16 of 17 numbers are equal" in seen.words
    assert "sha256:11aa22bb" in seen.words and "Weights" in seen.words
    box = [a for t, a in seen.tags if a.get("id") == "all"]
    assert "checked" not in box[0]
    again = Seen(compare_page(shelf, FRAME, shop.OLD, shop.NEW, every=True))
    assert "checked" in next(a for t, a in again.tags if a.get("id") == "all")


def test_a_comparison_tells_which_gates_turned(shelf):
    words = " ".join(Seen(compare_page(shelf, FRAME, shop.NEW, shop.READY)).words.split())
    assert "✕ FAIL 31.2% [28.2, 34.2], needs ≥40%" in words
    assert "VerdictNOT READYREADY" in words


def test_a_running_audit_tells_how_far_it_is(shelf):
    goes = pulse(shelf, shop.GOES)
    assert (goes.state, goes.done, goes.total, goes.left) == ("running", 7, 19, "5 min")
    page = Seen(pages.run_page(shelf, FRAME, shop.GOES))
    assert "worst-case 310/1,000 rows" in page.words and "12.4%" in page.words
    assert any(t == "progress" and a["value"] == "7" for t, a in page.tags)
    assert "7 of 19 checks" in Seen(pages.runs_page(shelf, FRAME, Sought())).words


def test_a_dead_audit_says_so_and_how_to_go_on(shelf):
    dead = pulse(shelf, shop.DEAD)
    assert dead.state == "quiet" and "No sign of life for 1 h 0 min" in dead.says
    words = Seen(pages.run_page(shelf, FRAME, shop.DEAD)).words
    assert "holdfast audit vit.pt --data ./test" in words
    own = shelf.store.folder(shop.GOES) / "live.json"
    assert pulse(shelf, shop.GOES, now=json.loads(own.read_text())["beat"] + 14).state == "running"
    assert pulse(shelf, shop.GOES, now=json.loads(own.read_text())["beat"] + 16).state == "quiet"


@pytest.mark.parametrize("torn", ["", "{", "[1]", '{"beat": "x", "worst": 3, "numbers": 7}'])
def test_a_torn_sign_of_life_breaks_no_page(own, torn):
    (own.store.folder(shop.GOES) / "live.json").write_text(torn)
    assert pulse(own, shop.GOES).state == "quiet"
    assert shop.GOES in pages.run_page(own, FRAME, shop.GOES)


@pytest.mark.parametrize(
    "torn",
    [b"", b"{", b"[]", b'"x"', b"\xff\xfe", b"[" * 100_000,
     b'{"subject": 3, "gates": {}, "outcomes": [null, 7]}'],
)  # fmt: skip
def test_torn_results_break_no_page(own, torn):
    (own.store.folder(shop.NEW) / "results.json").write_bytes(torn)
    for page in (pages.run_page, pages.failures_page, pages.ask_page):
        assert shop.NEW in page(own, FRAME, shop.NEW)
    assert shop.NEW in pages.runs_page(own, FRAME, Sought())
    assert shop.NEW in compare_page(own, FRAME, shop.OLD, shop.NEW)


def test_runs_are_found_without_their_ledger(own):
    for file in own.root.glob("ledger.sqlite*"):
        file.unlink()
    assert {c.id for c in own.cards()} == {shop.OLD, shop.NEW, shop.READY, shop.EVIL}
    (own.root / "ledger.sqlite").write_text("this is no database at all, but a long text" * 50)
    assert len(own.cards()) == 4


def test_notes_are_kept_in_order_and_cleaned(tmp_path):
    notes = Notes(tmp_path / "notes.json")
    notes.add(" Ada\n ", "first\r\nline\u202e\x00 two")
    notes.add("Bo", "second")
    assert [(n.name, n.text) for n in notes.all()] == [
        ("Ada", "first\nline two"), ("Bo", "second")
    ]  # fmt: skip
    notes.remove(7)
    notes.remove(0)
    assert [n.name for n in notes.all()] == ["Bo"]
    assert not list(tmp_path.glob("*.part"))


@pytest.mark.parametrize(
    ("name", "said"), [("", "x"), ("x", " \n "), ("x" * 61, "x"), ("x", "y" * (LONGEST + 1))]
)
def test_a_note_needs_a_name_and_a_text_of_bounded_length(tmp_path, name, said):
    with pytest.raises(ConfigError, match="E0174"):
        Notes(tmp_path / "notes.json").add(name, said)
    assert not list(tmp_path.iterdir())


def test_notes_are_bounded_in_number(tmp_path):
    notes = Notes(tmp_path / "notes.json")
    rows = [{"name": "a", "text": "b", "day": "2026-01-01"}] * MOST
    notes.file.write_text(json.dumps(rows))
    with pytest.raises(ConfigError, match="E0174"):
        notes.add("one", "more")


def test_notes_that_cannot_be_read_are_never_written_over(tmp_path):
    notes = Notes(tmp_path / "notes.json")
    notes.file.write_text("[{broken")
    assert notes.all() == []
    with pytest.raises(ConfigError, match="E0174"):
        notes.add("one", "more")
    assert notes.file.read_text() == "[{broken"


def test_an_exported_site_holds_together(shelf, tmp_path):
    count = export(shelf, tmp_path / "site", "here")
    files = {str(p.relative_to(tmp_path / "site")): p for p in (tmp_path / "site").rglob("*.html")}
    assert count == len([f for f in files if not f.endswith("report.html")])
    for name, file in files.items():
        if name.endswith("report.html"):
            continue
        seen = Seen(file.read_text("utf-8"))
        assert not [t for t, a in seen.tags if t in ("form", "textarea") and "data-filter" not in a]
        policy = [a["content"] for t, a in seen.tags if a.get("http-equiv")]
        assert len(policy) == 1 and "form-action 'none'" in str(policy[0])
        for tag, attributes in seen.tags:
            link = attributes.get("href")
            if tag == "a" and link and not link.startswith("#"):
                target = (file.parent / link.partition("#")[0]).resolve()
                assert target.is_relative_to(tmp_path / "site") and target.is_file(), (name, link)


def test_an_export_replaces_its_own_site_and_nothing_else(shelf, tmp_path):
    export(shelf, tmp_path / "site")
    (tmp_path / "site" / "runs" / "gone").mkdir()
    export(shelf, tmp_path / "site")
    assert not (tmp_path / "site" / "runs" / "gone").exists()
    other = tmp_path / "other"
    other.mkdir()
    (other / "precious").write_text("x")
    with pytest.raises(ConfigError, match="E0172"):
        export(shelf, other)
    assert [p.name for p in other.iterdir()] == ["precious"]
    with pytest.raises(ConfigError, match="E0173"):
        export(Shelf(tmp_path / "empty"), tmp_path / "new")


def test_a_large_site_compares_each_run_with_the_one_before(shelf):
    one = shelf.card(shop.NEW)
    many = [type(one)(**(vars(one) | {"id": f"r{i}"})) for i in range(20, 0, -1)]
    assert pairs(many) == [(f"r{i}", f"r{i + 1}") for i in range(1, 20)]


def test_the_choice_begins_with_the_latest_run_that_has_numbers_and_one_before_it(shelf):
    def picked(first: str = "", second: str = "") -> list[str | None]:
        page = Seen(compare_page(shelf, FRAME, first, second))
        return [a["value"] for t, a in page.tags if t == "option" and "selected" in a]

    before, after = picked()
    assert (before, after) == (shop.READY, shop.EVIL), "of the running and stopped ones none"
    assert picked(second=shop.NEW) == [shop.OLD, shop.NEW], "an earlier run of the same model"
    assert picked(first=shop.EVIL) == [shop.EVIL, shop.READY]
