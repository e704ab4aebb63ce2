"""The document of an audit: complete, plain, and the same on every machine."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from tests.run.doubles import Says, Wants, subject, suite
from torch import nn

from holdfast.checks.worst_case import WorstCase
from holdfast.core.data import Batches
from holdfast.report import render_json
from holdfast.run.document import document, methods, subject_facts
from holdfast.run.gates import gate
from holdfast.run.placeless import _folderless, placeless
from holdfast.run.suite import audit
from holdfast.run.verdict import verdict
from holdfast.threats.grammar import parse


def made(*checks, gates=(), **more):
    asked = subject(threats=(parse("linf:8/255"),))
    report = audit(suite(*checks), asked)
    judged = verdict(report.readings, gates, report.outcomes)
    return document(report, asked, checks, judged, **more)


def test_it_is_plain_and_survives_json():
    found = made(Says(), Says(ends="crash"), Wants(), gates=[gate("clean.accuracy", ">= 0.8")])
    text = render_json(found)
    assert render_json(json.loads(text)) == text and json.dumps(found, allow_nan=False)
    assert [o["check"] for o in found["outcomes"]] == ["check:Says", "check:Says", "check:Wants"]
    assert not any("seconds" in o for o in found["outcomes"])
    assert {n["check"] for n in found["not_tested"]} == {"check:Says", "check:Wants"}
    assert "writer" in found["not_tested"][-1]["reason"]
    assert found["verdict"]["word"] == "INCOMPLETE" and found["gates"][0]["verdict"] == "pass"


def test_a_subject_is_known_by_its_digests_and_counts():
    facts = subject_facts(subject(threats=(parse("linf:8/255"), parse("l2:0.5"))))
    assert facts["model"]["parameters"] == 15 and facts["model"]["kind"] == "Linear"
    assert (facts["data"]["n"], facts["data"]["shape"]) == (12, [4])
    assert facts["data"]["classes"] == ["a", "b", "c"]
    assert facts["threats"] == ["linf:8/255", "l2:0.5"] and facts["sampled"] is False
    with torch.no_grad():
        other = subject()
        other.model.bias[0] += 1
    assert subject_facts(other)["model"]["digest"] != facts["model"]["digest"]
    assert subject_facts(other)["data"]["digest"] == facts["data"]["digest"]


def test_mappings_texts_and_bare_callables_have_facts():
    several = Batches(x={"a": torch.zeros(3, 2), "b": torch.zeros(3, 5)}, y=torch.zeros(3).long())
    texts = Batches(x=["one", "two"], y=torch.zeros(2).long())
    assert subject_facts(subject(batches=several))["data"]["shape"] == {"a": [2], "b": [5]}
    assert subject_facts(subject(batches=texts))["data"]["shape"] == "text"
    bare = subject_facts(subject(model=lambda x: x, batches=None))
    assert bare["model"]["parameters"] == 0 and "data" not in bare
    wrapped = subject_facts(subject(model=nn.Sequential(nn.Linear(4, 3))))
    assert wrapped["model"]["kind"] == "Sequential"


def test_every_method_that_a_check_can_reach_has_a_card():
    cards = {c["key"]: c for c in methods([WorstCase()], {"attack:pgd": "holds"})}
    assert {"check:worst-case", "attack:pgd", "attack:apgd", "attack:square"} <= set(cards)
    assert cards["attack:pgd"]["claim"] == "holds" and cards["attack:pgd"]["year"] == 2017
    assert cards["attack:pgd"]["settings"]["steps"] > 0
    assert list(cards) == sorted(cards)


@pytest.mark.parametrize(("typed", "kept"), [
    ("holdfast audit net.pt --data rows.npz", "holdfast audit net.pt --data rows.npz"),
    ("holdfast audit /a/b/net.pt --data ../rows/", "holdfast audit net.pt --data rows"),
    ("holdfast audit '/a b/net.pt'", "holdfast audit net.pt"),
    ("holdfast audit a/own.py:f --threat l2:1/9", "holdfast audit own.py:f --threat l2:1/9"),
    ("holdfast harden ~/n.pt --threat l2:1/9", "holdfast harden n.pt --threat l2:1/9"),
    ("it doesn't matter /x/y", "it 'doesn'\"'\"'t' matter y"),
    ("", ""),
])  # fmt: skip
def test_commands_in_the_document_name_files_without_their_folders(typed, kept):
    assert _folderless(typed) == kept


def test_the_document_on_disk_is_placeless_and_the_one_shown_is_not():
    place = str(Path("/home/me/net.pt"))
    line = f"holdfast harden {place} --threat linf:8/255"
    full = made(
        Says(name="attacks.worst@linf:8/255", value=0.1), gates=[gate("attacks.worst@*", ">= 0.9")],
        command=f"holdfast audit {place}", harden={"linf:8/255": line},
    )  # fmt: skip
    assert full["actions"][0]["command"] == line
    kept = placeless(full)
    assert "/home" not in json.dumps(kept) and "net.pt" in kept["command"]
    assert full["command"].endswith(place), "the original stays as it is"
    same = {k for k in full if k not in ("command", "actions")}
    assert all(kept[k] == full[k] for k in same)
