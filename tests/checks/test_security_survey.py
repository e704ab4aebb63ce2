"""The survey's checks where the answer is known, and the map against the catalogue."""

from __future__ import annotations

import torch
from tests.checks.subjects import findings, reading, stripes
from torch import nn

from holdfast.checks.extraction import Extraction, agreement, answered
from holdfast.checks.membership import Membership
from holdfast.checks.poisoning import Poisoning
from holdfast.checks.threat_map import TAXONOMY, ThreatMap, coverage
from holdfast.checks.worst_case import WorstCase
from holdfast.core.catalog import find
from holdfast.core.data import Batches
from holdfast.core.fields import Later
from holdfast.core.kinds import Access
from holdfast.core.records import Subject
from holdfast.recipes.standard import Standard

FAST = Standard(epochs=8, optimizer=Later("torch:Adam", lr=0.01))


def make(seed: int) -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return nn.Sequential(nn.Flatten(), nn.Linear(64, 16), nn.ReLU(), nn.Linear(16, 2))


def subject(rows: int = 256) -> Subject:
    x, y = stripes(classes=2, rows=2 * rows)
    data = Batches(x=x, y=y, size=32)
    learned, judge = data.take(slice(0, rows)), data.take(slice(rows, None))
    model = make(0)
    FAST(model, learned)
    return Subject(model=model, make=make, trusted=learned, batches=judge)


SUBJECT = subject()


def test_no_flips_lose_nothing_and_half_of_two_classes_are_chance():
    check = Poisoning(flips=(0.0, 0.5), poison=(0.0,), recipe=FAST)
    found = findings(check, SUBJECT)
    clean = reading(found, "poisoning.clean").value
    assert clean > 0.95 and reading(found, "poisoning.flips.0").value == clean
    # found[0] has both; half of the labels wrong is no information, only noise around chance
    assert 0.2 < reading(found, "poisoning.flips.0.5").value < 0.8
    base = [r for r in found[1].readings if r.name == "poisoning.backdoor.0"]
    assert base[0].value == base[1].value  # no poison: the error towards the class


def test_what_is_no_image_gets_no_trigger_and_keeps_its_flips():
    def flat(rows: Batches) -> Batches:
        return Batches(x=rows.x.flatten(1), y=rows.y, size=32)

    about = Subject(
        model=SUBJECT.model, make=make, trusted=flat(SUBJECT.trusted), batches=flat(SUBJECT.batches)
    )
    found = findings(Poisoning(flips=(0.1,), recipe=FAST), about)
    assert len(found[0].readings) == 2 and "No backdoor was tried" in found[1].says


def test_a_backdoor_opens():
    check = Poisoning(flips=(), poison=(0.1,), recipe=FAST, target=1)
    found = findings(check, SUBJECT)
    before = reading(found, "poisoning.backdoor.0").value
    assert reading(found, "poisoning.backdoor.0.1").value > before + 0.5
    assert reading(found, "poisoning.dressed.0.1").value > 0.9


def test_a_model_agrees_with_itself():
    model, rows = SUBJECT.model, SUBJECT.batches
    assert agreement(model, model, rows, name="a").value == 1
    wrong = agreement(model, lambda x: -model(x), rows, name="a")
    assert wrong.value == 0
    with torch.no_grad():
        assert torch.equal(answered(model, rows).y, model(rows.x).argmax(1))


def test_a_copy_agrees_more_with_more_answers():
    found = findings(Extraction(queries=(8, 200), recipe=FAST), SUBJECT)
    few, many = (reading(found, f"privacy.extraction.{n}").value for n in (8, 200))
    assert many > 0.95 and many >= few
    capped = findings(Extraction(queries=(1000, 5000), recipe=FAST), SUBJECT)
    assert [r.name for r in capped[0].readings] == ["privacy.extraction.256"]


def test_membership_of_a_constant_loss_is_a_coin():
    def flat(x):
        return torch.zeros(len(x), 2)

    known = Subject(model=flat, trusted=SUBJECT.trusted, batches=SUBJECT.batches)
    found = findings(Membership(), known)
    assert reading(found, "privacy.membership").value == 0.5
    assert reading(found, "privacy.members").value == 0


def test_membership_of_a_memory_is_plain():
    seen = SUBJECT.trusted

    def recalls(x):
        known = torch.stack([(x == row).flatten(1).all(1) for row in seen.x]).any(0)
        return torch.stack([torch.zeros(len(x)), torch.zeros(len(x))], 1) + (
            known[:, None] * 9.0 * torch.eye(2)[x.flatten(1)[:, 0].gt(0.5).long() * 0]
        )

    rows = (seen.y == 0).nonzero().flatten()
    new = (SUBJECT.batches.y == 0).nonzero().flatten()
    known = Subject(model=recalls, trusted=seen.take(rows), batches=SUBJECT.batches.take(new))
    found = findings(Membership(), known)
    assert reading(found, "privacy.membership").value == 1
    assert reading(found, "privacy.members").value == 1


def test_the_map_is_read_off_the_catalogue():
    found = {c.threat.name: c for c in coverage()}
    assert len(found) == len(TAXONOMY)
    for name, access in (("gradients", Access.GRADIENT), ("scores", Access.SCORE)):
        assert found[name].methods
        assert all(find(key).thing.access is access for key in found[name].methods)
    assert found["label flipping"].checks == ("check:poisoning",)
    assert found["membership inference"].methods == ("check:membership",)
    assert "check:extraction" in found["extraction"].checks
    assert "shift:frequency-trigger" in found["clean-label poisoning"].methods
    assert not found["gradient leakage"].checks


def test_a_suite_covers_what_its_checks_reach():
    only = {c.threat.name: c for c in coverage((WorstCase(attacks=("attack:pgd",)),))}
    assert only["gradients"].checks and not only["label flipping"].checks
    whole = findings(ThreatMap(), Subject())
    part = findings(ThreatMap(checks=("check:clean",)), Subject())
    share = [reading(f, "threats.covered").value for f in (part, whole)]
    assert share[0] == 0 < share[1] < 1
    assert "gradient leakage" in whole[0].says
    assert len(whole[0].figures[0].rows) == len(TAXONOMY)
