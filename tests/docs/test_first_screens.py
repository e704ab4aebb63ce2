"""The gallery shows first screens where a browser is, and verdicts in letters where none is."""

from __future__ import annotations

import pytest
from docs.generator.first_screens import SIZE, card, taken
from PIL import Image
from tests.conftest import chromium_path


@pytest.mark.browser
def test_a_first_screen_is_a_picture_of_the_page(tmp_path):
    page, picture = tmp_path / "a.html", tmp_path / "a.png"
    page.write_text("<body style='background: #102030'>x")
    assert taken(page, picture, chromium_path())
    with Image.open(picture) as seen:
        assert seen.size == SIZE and seen.convert("RGB").getpixel((900, 700)) == (16, 32, 48)


@pytest.mark.parametrize("browser", ["/nowhere/chromium", "/bin/false"])
def test_without_a_browser_there_is_a_card_of_letters(tmp_path, browser):
    (tmp_path / "a.html").write_text("x")
    assert not taken(tmp_path / "a.html", tmp_path / "a.png", browser)
    told = card("r.html", "", "NOT READY", "A <b>")
    assert "<img" not in told and "NOT READY" in told and "A &lt;b&gt;" in told
    assert '<img src="a.png"' in card("r.html", "a.png", "READY", "A")
