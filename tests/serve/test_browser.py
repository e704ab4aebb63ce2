"""Every page in a real browser: by mouse and by keyboard, on a desk and on a phone, by day and
by night; nothing but this server is asked, nothing is hidden from those who cannot see."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from tests.conftest import chromium_path
from tests.serve import shop

pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
pytest.importorskip("uvicorn", reason="uvicorn is not installed (extra serve)")
pytest.importorskip("starlette", reason="starlette is not installed (extra serve)")
import uvicorn
from playwright.sync_api import sync_playwright

from holdfast.serve.app import application
from holdfast.serve.export import export
from holdfast.serve.guardian import Guardian
from holdfast.serve.shelf import Shelf

pytestmark = pytest.mark.browser
ARGUMENTS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
]  # fmt: skip
LOOKS = [(w, h, s) for w, h in ((1280, 800), (390, 844)) for s in ("light", "dark")]
PAGES = {
    "list": "/", "narrowed": "/?q=demo&verdict=NOT+READY", "nothing": "/?q=zzz",
    "run": f"/runs/{shop.NEW}", "ready": f"/runs/{shop.READY}", "hostile": f"/runs/{shop.EVIL}",
    "running": f"/runs/{shop.GOES}", "dead": f"/runs/{shop.DEAD}",
    "failures": f"/runs/{shop.NEW}/failures", "ask": f"/runs/{shop.NEW}/ask",
    "choice": "/compare", "compare": f"/compare?a={shop.OLD}&b={shop.NEW}",
    "all": f"/compare?a={shop.NEW}&b={shop.EVIL}&all=1",
}  # fmt: skip
WATCH = """window.violations = [];
document.addEventListener('securitypolicyviolation', e => violations.push(e.violatedDirective));"""

# What a checker of accessibility asks of a page; each finding is one line.
AUDIT = """() => {
  const found = [], all = s => [...document.querySelectorAll(s)];
  const seen = e => { const r = e.getBoundingClientRect(), c = getComputedStyle(e);
    return r.width > 1 && r.height > 1 && c.visibility !== 'hidden' && e.checkVisibility(); };
  const name = e => (e.getAttribute('aria-label') || [...(e.labels || [])].map(l => l.textContent)
    .join(' ') || e.textContent || '').trim();
  const say = (what, e) => found.push(`${what}: <${e.localName} class="${e.className}"> ` +
    (e.textContent || '').trim().slice(0, 40));
  if (document.documentElement.lang !== 'en') found.push('no language');
  if (!document.title.trim()) found.push('no title');
  if (all('main').length !== 1 || all('h1').length !== 1) found.push('one main, one h1');
  if (all('body > header').length !== 1 || all('body > footer').length !== 1)
    found.push('header and footer');
  let level = 0;
  for (const h of all('h1, h2, h3, h4')) { if (!seen(h)) continue; const own = +h.localName[1];
    if (own > level + 1) say(`h${own} after h${level}`, h); level = own; }
  for (const e of all('input:not([type=hidden]), select, textarea, button, a[href], progress'))
    if (!name(e) && !e.hidden) say('no name', e);
  for (const e of all('img')) if (!e.hasAttribute('alt')) say('no alt', e);
  for (const e of all('nav, [role=region], form[role]'))
    if (!e.getAttribute('aria-label')) say('no label', e);
  const ids = all('[id]').map(e => e.id);
  for (const id of ids) if (ids.indexOf(id) !== ids.lastIndexOf(id)) found.push('two of #' + id);
  for (const e of all('table')) if (!e.querySelector('th')) say('table without heads', e);
  for (const e of all('th')) if (!e.scope) say('head without scope', e);
  for (const e of all('[tabindex]')) if (e.tabIndex > 0) say('own tab order', e);
  for (const e of all('ol, ul')) if ([...e.children].some(c => c.localName !== 'li'))
    say('list with more than items', e);
  const part = x => { x /= 255; return x <= 0.03928 ? x / 12.92 : ((x + 0.055) / 1.055) ** 2.4; };
  const light = c => { const v = c.match(/[\\d.]+/g).slice(0, 3).map(Number).map(part);
    return 0.2126 * v[0] + 0.7152 * v[1] + 0.0722 * v[2]; };
  const ground = e => { for (; e; e = e.parentElement) {
    const c = getComputedStyle(e).backgroundColor;
    if (!/, 0\\)$/.test(c)) return c; } return 'rgb(255, 255, 255)'; };
  for (const e of all('body *')) {
    if (e.closest('svg, script, style, .skip, :disabled') || !seen(e)) continue;
    if (![...e.childNodes].some(n => n.nodeType === 3 && n.textContent.trim())) continue;
    const a = light(getComputedStyle(e).color), b = light(ground(e));
    const ratio = (Math.max(a, b) + .05) / (Math.min(a, b) + .05);
    if (ratio < 4.5) say(`contrast ${ratio.toFixed(2)}`, e);
  }
  for (const e of all('button, select, input:not([type=hidden]), textarea, nav a'))
    if (seen(e) && e.getBoundingClientRect().height < 24 && e.type !== 'checkbox')
      say('too small for a finger', e);
  if (document.documentElement.scrollWidth > innerWidth) found.push('sideways scroll');
  return found;
}"""


@dataclass
class Visit:
    """A page with everything that went wrong on it."""

    page: Any
    origin: str
    wrong: list[str] = field(default_factory=list)

    def open(self, path: str) -> Any:
        self.page.goto(self.origin + path)
        return self.page

    def listen(self) -> None:
        self.page.on("console", lambda m: self.wrong.append(f"console: {m.text}"))
        self.page.on("pageerror", lambda e: self.wrong.append(f"error: {e}"))
        self.page.on("dialog", lambda d: (self.wrong.append("a script ran"), d.dismiss()))
        self.page.on("request", lambda r: self._asked(r.url))

    def _asked(self, url: str) -> None:
        if not url.startswith((self.origin, "data:")):
            self.wrong.append(f"request: {url}")


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("store") / ".holdfast"
    shop.filled(place)
    return place


@pytest.fixture(scope="module")
def guardian(root: Path) -> Iterator[Guardian]:
    """A server in a thread, on a port of its own."""
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    own = Guardian("127.0.0.1", listener.getsockname()[1])
    settings = uvicorn.Config(
        application(root, own), log_level="error", lifespan="off", timeout_graceful_shutdown=1
    )
    server = uvicorn.Server(settings)
    thread = threading.Thread(
        target=lambda: asyncio.run(server.serve(sockets=[listener])), daemon=True
    )
    thread.start()
    while not server.started:
        time.sleep(0.01)
    yield own
    server.should_exit = True
    thread.join(10)
    listener.close()


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with sync_playwright() as tool:
        opened = tool.chromium.launch(executable_path=chromium_path(), args=ARGUMENTS)
        yield opened
        opened.close()


def context(browser: Any, width: int = 1280, height: int = 800, scheme: str = "light") -> Any:
    made = browser.new_context(
        viewport={"width": width, "height": height}, color_scheme=scheme, reduced_motion="reduce"
    )
    made.add_init_script(WATCH)
    made.set_default_timeout(60_000)
    return made


def entered(opened: Any, guardian: Guardian) -> Visit:
    address, _, _ = guardian.address().partition("/?")
    visit = Visit(opened.new_page(), address)
    visit.listen()
    visit.page.goto(guardian.address())
    return visit


@pytest.fixture
def visit(browser: Any, guardian: Guardian) -> Iterator[Visit]:
    opened = context(browser)
    yield entered(opened, guardian)
    opened.close()


def told(visit: Visit, name: str) -> list[str]:
    """Everything that is wrong with the page that is open."""
    found = [f"{name}: {line}" for line in visit.page.evaluate(AUDIT)]
    found += [f"{name}: refused {v}" for v in visit.page.evaluate("window.violations")]
    return found


FAULTS = {
    "contrast": "<p style='color:#999;background:#aaa'>faint</p>",
    "no name": "<button></button>", "no alt": "<img src='data:,'>", "no label": "<nav>x</nav>",
    "two of #": "<i id='main'></i>", "h4 after": "<h4>deep</h4>", "own tab order":
    "<i tabindex='2'>x</i>", "head without scope": "<table><tr><th>x</th></tr></table>",
    "one main": "<h1>again</h1>", "sideways": "<p style='width:3000px'>wide</p>",
}  # fmt: skip


@pytest.mark.parametrize("fault", FAULTS)
def test_the_checker_sees_each_fault(browser, fault):
    opened = context(browser)
    page = opened.new_page()
    whole = "<header>a</header><main id='main'><h1>b</h1>{}</main><footer>c</footer>"
    for added, seen in (("", False), (FAULTS[fault], True)):
        page.set_content(f"<!doctype html><html lang='en'><title>t</title>{whole.format(added)}")
        assert any(fault in line for line in page.evaluate(AUDIT)) == seen
    opened.close()


@pytest.mark.parametrize(("width", "height", "scheme"), LOOKS)
def test_every_page_is_sound_on_every_screen(browser, guardian, width, height, scheme):
    opened = context(browser, width, height, scheme)
    visit = entered(opened, guardian)
    found = []
    for name, path in PAGES.items():
        visit.open(path)
        found += told(visit, name)
        if name == "ask":
            visit.page.get_by_role("button", name="Ask", exact=True).click()
            visit.page.wait_for_selector("#answer table")
            found += told(visit, "answer")
    opened.close()
    assert not found and not visit.wrong, "\n".join([*found, *visit.wrong])


def test_a_stranger_meets_a_page_that_is_sound_too(browser, guardian):
    opened = context(browser)
    visit = Visit(opened.new_page(), guardian.address().partition("/?")[0])
    visit.open(f"/runs/{shop.NEW}")
    assert visit.page.get_by_role("heading", name="Locked").is_visible()
    assert not told(visit, "locked") and shop.NEW not in visit.page.content().partition("<style")[2]
    opened.close()


FOCUSED = """() => { const e = document.activeElement, r = e.getBoundingClientRect();
  const shown = [e, e.closest('li')].filter(Boolean).map(x => getComputedStyle(x))
    .some(c => c.outlineStyle !== 'none' && parseFloat(c.outlineWidth) >= 2);
  return { tag: e.localName, name: (e.getAttribute('aria-label') || e.textContent || e.name || '')
    .trim().slice(0, 40), ring: shown || e.localName === 'body', width: r.width,
    place: [...document.querySelectorAll('*')].indexOf(e) }; }"""


@pytest.mark.parametrize("name", ["list", "run", "ask", "compare", "failures"])
def test_the_keyboard_reaches_everything_in_order_and_shows_where_it_is(visit, name):
    page = visit.open(PAGES[name])
    wanted = page.evaluate(
        "[...document.querySelectorAll('a[href], button, select, textarea, summary,"
        " input:not([type=hidden])')].filter(e => e.checkVisibility() && !e.disabled).length"
    )
    seen = []
    for _ in range(3 * wanted + 20):
        page.keyboard.press("Tab")
        now = page.evaluate(FOCUSED)
        if now["tag"] == "body" or (seen and now["place"] == seen[0]["place"]):
            break
        seen.append(now)
    assert seen[0]["name"] == "Skip to content" and seen[0]["width"] > 40
    places = [s["place"] for s in seen]
    assert places == sorted(places) and len(set(places)) >= wanted
    assert not [s for s in seen if not s["ring"]]


def test_the_skip_link_leads_to_the_content(visit):
    page = visit.open(PAGES["run"])
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    page.wait_for_function("document.activeElement.id === 'main'")


def test_runs_are_sought_picked_and_compared_by_keyboard_alone(visit):
    page = visit.open("/")
    page.focus("#q")
    page.keyboard.type("demo")
    page.keyboard.press("Enter")
    page.wait_for_url("**/?q=demo**")
    assert page.locator("ol.runs > li").count() == 2
    button = page.get_by_role("button", name="Compare the two picked")
    assert button.is_disabled()
    for box in page.locator("input.pick").all():
        box.focus()
        page.keyboard.press("Space")
    button.focus()
    page.keyboard.press("Enter")
    page.wait_for_selector(".sum")
    assert page.locator(".side .id").all_inner_texts() == [shop.OLD, shop.NEW]
    equal = page.locator("table.change tr.equal")
    assert equal.count() == 16 and not equal.first.is_visible()
    page.focus("#all")
    page.keyboard.press("Space")
    assert equal.first.is_visible()
    assert not visit.wrong


def test_a_note_is_written_shown_everywhere_and_taken_away(visit):
    page = visit.open(f"/runs/{shop.READY}")
    page.fill("#name", "Grace")
    page.fill("#text", "Ship it.\n<b>Really</b>")
    page.get_by_role("button", name="Add note").click()
    page.wait_for_selector("ol.notes")
    assert page.locator("ol.notes .said").inner_text() == "Ship it.\n<b>Really</b>"
    for path in ("/?q=really", f"/compare?a={shop.NEW}&b={shop.READY}"):
        assert "1 note" in visit.open(path).content() or "Ship it." in page.inner_text("main")
    page = visit.open(f"/runs/{shop.READY}/failures")
    assert "Ship it." in page.inner_text("#notes")
    visit.open(f"/runs/{shop.READY}").get_by_role("button", name="Remove the note of Grace").click()
    page.wait_for_selector("ol.notes", state="detached")
    assert not visit.wrong


def test_a_question_is_asked_by_keyboard_and_a_wrong_one_keeps_its_words(visit):
    page = visit.open(f"/runs/{shop.NEW}/ask")
    page.fill("#sql", "SELECT 6 * 7 AS answer")
    page.keyboard.press("Control+Enter")
    page.wait_for_selector("#answer td")
    assert page.inner_text("#answer td") == "42"
    page.fill("#sql", "COPY numbers TO '/tmp/x.csv'")
    page.keyboard.press("Control+Enter")
    page.wait_for_selector("#answer .wrong")
    assert page.input_value("#sql").startswith("COPY")
    assert "Only SELECT" in page.inner_text("#answer")
    assert not visit.wrong


def test_a_running_audit_moves_while_it_is_looked_at(visit, root):
    store = Shelf(root).store
    page = visit.open(f"/runs/{shop.GOES}")
    assert page.inner_text("[data-done]") == "7"
    shop.beats(store, shop.GOES, time.time() + 1e6, done=8, doing=shop.SCRIPT)
    page.wait_for_function("document.querySelector('[data-done]').textContent === '8'")
    assert page.evaluate("document.querySelector('progress').value") == 8
    assert shop.SCRIPT in page.inner_text("[data-says]")
    shop.beats(store, shop.GOES, time.time() - 100)
    page.wait_for_selector(".live.quiet")
    assert "No sign of life" in page.inner_text("main")
    shop.beats(store, shop.GOES, time.time() + 1e6)
    assert not visit.wrong


def test_the_full_report_draws_its_charts_in_a_box_of_its_own(visit):
    page = visit.open(f"/runs/{shop.NEW}/files/report.html")
    page.wait_for_selector("html[data-ready=yes]")
    assert page.locator("[data-chart][data-drawn=yes]").count() == 7
    assert page.evaluate("window.origin") == "null"
    assert not visit.wrong


@pytest.mark.parametrize("path", [PAGES["list"], PAGES["run"], PAGES["compare"], PAGES["running"]])
def test_pages_are_whole_without_scripts(browser, guardian, path):
    opened = browser.new_context(java_script_enabled=False)
    page = opened.new_page()
    page.goto(guardian.address())
    page.goto(guardian.address().partition("/?")[0] + path)
    words = page.locator("main").inner_text()
    assert any(w in words for w in ("NOT READY", "7 of 19 checks"))
    opened.close()


def test_an_exported_site_opens_offline_and_narrows_itself(browser, root, tmp_path):
    export(Shelf(root), tmp_path / "site", "here")
    opened = context(browser, 390, 844, "dark")
    visit = Visit(opened.new_page(), (tmp_path / "site").as_uri())
    visit.listen()
    found = []
    paths = [
        "/index.html", "/compare.html", f"/compare/{shop.OLD}--{shop.NEW}.html",
        f"/runs/{shop.NEW}/index.html", f"/runs/{shop.NEW}/failures.html",
        f"/runs/{shop.GOES}/index.html",
    ]  # fmt: skip
    for path in paths:
        visit.open(path)
        found += told(visit, path)
    page = visit.open("/index.html?q=91bc")
    assert page.locator("ol.runs > li:visible").count() == 1
    page.fill("#q", "")
    page.select_option("#verdict", "NOT READY")
    assert page.locator("ol.runs > li:visible").count() == 2
    page.locator("ol.runs > li:visible a").first.click()
    page.get_by_role("link", name="Full report").click()
    page.wait_for_selector("html[data-ready=yes]")
    opened.close()
    assert not found and not visit.wrong, "\n".join([*found, *visit.wrong])
