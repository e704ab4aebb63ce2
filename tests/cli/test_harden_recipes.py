"""Any recipe of the catalogue, with its own settings; broken ones only for study."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from tests.cli.world import lay

from holdfast.cli import lesson as lessons
from holdfast.cli import options
from holdfast.cli.branded import branded
from holdfast.cli.front import run
from holdfast.cli.lesson import fed, lesson, recipes
from holdfast.core.catalog import Entry, find, resolve
from holdfast.core.data import Batches
from holdfast.core.errors import ConfigError, Unsupported
from holdfast.core.fields import Later
from holdfast.hooks.ema import EMA
from holdfast.recipes.standard import Standard
from holdfast.run.loop import Training, Turn
from holdfast.run.store import Store
from holdfast.threats.norms import L2, LInf

THREAT = LInf(radius=0.05)
LINE = ["harden", "net.pt", "--arch", "net.py:build", "--data", "rows.npz", "--no-audit"]
LINE += ["--threat", "linf:0.05", "-o", "hard.safetensors"]
OWN = """from holdfast.recipes.standard import Standard

MINE = Standard(epochs=2, objective="objective:pgd-at")
OTHER = 3
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return lay(tmp_path)


def test_every_recipe_keeps_its_own_settings_and_gets_the_threat():
    assert {"trades", "pgd-at", "ibp", "crown-ibp", "gloro", "standard"} <= set(recipes())
    for name in recipes():
        if find(f"recipe:{name}").caution:
            continue
        own, made = resolve(f"recipe:{name}"), lesson(name, THREAT)
        for setting in ("optimizer", "schedule", "epochs"):
            assert getattr(made.recipe, setting, None) == getattr(own, setting, None)
    assert lesson("trades", THREAT).recipe.objective.threat == THREAT
    plain = lesson("standard", THREAT)
    assert not plain.against and plain.recipe.objective == "objective:supervised"


def test_what_is_best_is_asked_only_when_a_ramp_is_over():
    assert lesson("ibp", THREAT).since == 0.6 and lesson("trades", THREAT).since == 0.0


def test_a_rate_changes_the_rate_and_nothing_else():
    made = lesson("ibp", THREAT, rate=0.5).recipe
    assert made.optimizer == Later("torch:Adam", lr=0.5) and made.schedule == "constant"
    sam = Later("optimizer:sam", base=Later("torch:SGD", lr=1.0, momentum=0.9), radius=0.1)
    slow = Later("optimizer:sam", base=Later("torch:SGD", lr=0.5, momentum=0.9), radius=0.1)
    assert lessons._slower(sam, 0.5) == slow
    with pytest.raises(ConfigError, match="E0147"):
        lesson("convex", THREAT, rate=0.1)


def test_every_threat_of_a_training_is_replaced():
    adversarial = resolve("objective:pgd-at")
    turn = Turn(objective="objective:trades", parts=("0",))
    plan = Training(objective=replace(adversarial, threat=L2(radius=1.0)), turns=(turn,))
    aimed = plan.against(THREAT)
    assert aimed.objective.threat == THREAT == aimed.turns[0].objective.threat  # type: ignore[union-attr]
    assert aimed.objective.attack == adversarial.attack  # type: ignore[union-attr]
    with pytest.raises(Unsupported, match="does not defend"):
        Training().against(THREAT)


def test_hooks_get_the_rows_they_ask_for():
    class School:
        learn = Batches(x=torch.rand(4, 2), y=torch.zeros(4).long())
        watched = learn

    made = lesson("standard", THREAT)
    asks = replace(made, recipe=Standard(hooks=(EMA(statistics="fresh"), "hook:early-stopping")))
    first, second = fed(asks, School()).recipe.hooks  # type: ignore[arg-type]
    assert first.rows is School.learn and second.held is School.watched


def test_a_recipe_of_ones_own_is_run(folder):
    Path("own.py").write_text(OWN)
    assert run([*LINE, "--recipe", "own.py:MINE"]) == 0
    card = json.loads(Path("hard.json").read_text())
    assert card["epochs"] == 2 and card["against"] and card["recipe"] == "own.py:MINE"
    with pytest.raises(ConfigError, match="no recipe"):
        lesson("own.py:OTHER", THREAT)


def test_what_is_known_to_be_broken_is_for_study_only(folder, capsys, monkeypatch):
    broken = Entry("recipe", "planted", Standard(epochs=1), ("trades",), "x", "it hides slopes")
    monkeypatch.setitem(lessons.find.__globals__["_ENTRIES"], "recipe:planted", broken)
    assert run([*LINE, "--recipe", "planted"]) == 2
    told = capsys.readouterr().err
    assert "planted" in told and "it hides slopes" in told and "--for-study" in told
    assert not Path("hard.safetensors").exists()
    assert run([*LINE, "--recipe", "planted", "--for-study"]) == 0
    card = Path("hard.md").read_text()
    assert "Caution: it hides slopes" in card and "not a defence" in card
    assert "--for-study" in card


def audited(model: str, capsys) -> tuple[str, list[dict[str, object]]]:
    """What an audit prints of a model before it begins, and writes of it."""
    words = ["audit", model, "--arch", "net.py:build", "--data", "rows.npz", "--profile"]
    assert run([*words, "few.toml", "--threat", "linf:0.05", "--fresh"]) in (0, 1, 3)
    store = Store(options.STORE)
    return capsys.readouterr().err, store.results(store.find_run("last").id)["preflight"]


def test_an_audit_names_the_broken_recipe_that_made_the_weights(folder, capsys):
    assert run([*LINE, "--recipe", "logit-pairing", "--for-study", "--epochs", "1"]) == 0
    caution = find("recipe:logit-pairing").caution
    Path("hard.json").unlink()  # the weights say it themselves
    Path("elsewhere.safetensors").write_bytes(Path("hard.safetensors").read_bytes())
    err, found = audited("elsewhere.safetensors", capsys)
    assert "logit-pairing" in err and caution in err
    assert found[0]["severity"] == "failure" and "the recipe logit-pairing" in str(found[0]["says"])
    assert run([*LINE, "--recipe", "trades", "--epochs", "1", "--fresh"]) == 0
    err, found = audited("hard.safetensors", capsys)
    assert not any("known not to protect" in str(f["says"]) for f in found)


def test_a_recipe_that_was_found_broken_since_is_known_by_its_name(folder, monkeypatch):
    assert run([*LINE, "--recipe", "standard", "--epochs", "1"]) == 0
    assert branded("hard.safetensors") == () == branded("net.pt") == branded("net.py:build")
    found = Entry("recipe", "standard", Standard(), ("trades",), "x", "it was found to hide slopes")
    monkeypatch.setitem(lessons.find.__globals__["_ENTRIES"], "recipe:standard", found)
    assert "found to hide slopes" in branded("hard.safetensors")[0].says
    Path("hard.safetensors").write_bytes(b"no file of weights")
    assert branded("hard.safetensors") == ()
