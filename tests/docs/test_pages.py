"""The generated pages: what stands on them is what the code says."""

from __future__ import annotations

import json
import tomllib

import pytest
from docs.generator import (
    claims,
    codes,
    elsewhere,
    guides,
    index_for_agents,
    methods,
    schemas,
    text,
)

from holdfast.cli.error_pages import pages
from holdfast.core.catalog import find


@pytest.mark.parametrize("key", ["attack:pgd", "recipe:trades", "shift:fog", "loss:squared"])
def test_the_page_of_a_method_has_all_its_parts(key):
    entry = find(key)
    page, _ = methods.page(entry, claims.standings().get(key, []))
    for heading in ("## Example", "## Settings", "## Source", "## Claim", "When to use"):
        assert heading in page
    for name in methods.examples.settings_of(entry):
        assert f"`{name}`" in page
    assert f"holdfast show {key}" in page


def test_a_caution_stands_on_the_page():
    entry = find("recipe:logit-pairing")
    assert entry.caution and "Known not to protect" in methods.page(entry, [])[0]


def test_a_claim_that_does_not_hold_says_so_on_every_page_that_it_is_about():
    failing = [(one, keys) for one, keys in claims.every() if one.word == "does not hold"]
    assert failing
    one, keys = failing[0]
    found = claims.standings()[keys[0]]
    assert "Does not hold" in "\n".join(methods.claimed(found)) and one.why


def test_every_error_has_a_page_with_its_commands():
    made = codes.every()
    for name, one in pages().items():
        page = made[f"errors/{name}.md"]
        assert one.example in page and one.case in page
        assert f"({name}.md)" in made["errors/index.md"]


def test_docstrings_are_text_and_not_markup():
    assert text.escaped("a_b <c> [d] `e_f`") == r"a\_b \<c\> \[d\] `e_f`"
    assert text.paragraph("1. one\n  two") == r"\1. one two"
    assert text.arguments(find("attack:pgd").thing).keys() >= {"steps"}


def test_the_schema_of_results_is_obeyed_by_all_and_not_by_another():
    some = [{"a": 1, "b": [{"c": None}]}, {"a": 1.5, "b": [], "d": "x"}]
    made = schemas.results(some)
    assert made["required"] == ["a", "b"] and set(made["properties"]) == {"a", "b", "d"}
    assert made["properties"]["a"]["type"] == ["integer", "number"]


def test_the_schema_of_settings_knows_options_and_checks():
    made = schemas.config()
    json.dumps(made)
    assert {"profile", "data", "threat"} <= made["properties"]["audit"]["properties"].keys()
    checks = made["properties"]["suite"]["additionalProperties"]["properties"]["check"]
    named = [c["properties"]["use"]["const"] for c in checks["items"]["anyOf"]]
    assert "check:worst-case" in named and len(named) == len(set(named)) > 20


def test_the_page_for_programs_names_commands_methods_and_errors():
    told = index_for_agents.text()
    for word in ("holdfast audit", "attack:pgd", "E0117", "Exit codes"):
        assert word in told


def test_a_command_of_a_guide_runs_and_a_wrong_one_stops_the_build(tmp_path):
    page = (
        "```{code-block} python\n:caption: say.py\n\nprint('said')\n```\n"
        "```console\n$ python say.py\n```\n"
    )
    assert "$ python say.py\nsaid" in guides.executed(page, tmp_path)
    with pytest.raises(RuntimeError, match="ended with 2"):
        guides.executed("```console\n$ python nothing.py\n```", tmp_path)


def test_what_a_page_fetches_from_elsewhere_is_found(tmp_path):
    (tmp_path / "a.html").write_text('<a href="https://x.org">x</a><img src="b.png">')
    (tmp_path / "a.css").write_text("body { background: url(b.png) }")
    assert elsewhere.requests(tmp_path) == []
    (tmp_path / "b.html").write_text('<script src="//cdn.org/a.js"></script>')
    (tmp_path / "c.html").write_text('<link rel="stylesheet" href="https://fonts.org/f.css">')
    (tmp_path / "b.css").write_text("@import 'https://fonts.org/g.css';")
    assert len(elsewhere.requests(tmp_path)) == 3


def test_the_guides_speak_of_files_that_there_are():
    for name in ("quickstart", "robustness-number", "threat-models", "ci", "schemas", "index"):
        assert (guides.Path(__file__).parents[2] / f"docs/site/{name}.md").is_file()
    project = tomllib.loads((guides.Path(__file__).parents[2] / "pyproject.toml").read_text())
    assert "docs" in project["project"]["optional-dependencies"]
