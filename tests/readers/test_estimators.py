"""Estimators of scikit-learn: black boxes whose margins are those of their probabilities."""

from __future__ import annotations

import pickle
import subprocess
import sys

import joblib
import numpy as np
import pytest
import torch
from sklearn.ensemble import RandomForestClassifier
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.naive_bayes import MultinomialNB
from sklearn.pipeline import make_pipeline
from sklearn.svm import LinearSVC

from holdfast.core.errors import HoldfastError
from holdfast.core.goal import Untargeted
from holdfast.readers import read_model, subject
from holdfast.run.preflight import preflight

G = np.random.default_rng(0)
X = G.random((90, 6)).astype(np.float32)
Y = X[:, :3].argmax(1)
CODE = """
import numpy as np
from sklearn.ensemble import RandomForestClassifier
g = np.random.default_rng(0)
x = g.random((90, 6))
def forest():
    return RandomForestClassifier(5, random_state=0).fit(x, x[:, :3].argmax(1))
clf = forest()
"""


def test_outputs_are_the_logarithms_of_the_probabilities():
    clf = LogisticRegression().fit(X, Y)
    read = read_model(clf)
    assert read.about["kind"] == "estimator" and "black box" in read.about["reading"]
    z = read(torch.from_numpy(X))
    assert z.softmax(1).numpy() == pytest.approx(clf.predict_proba(X), abs=1e-6)
    assert bool((z.argmax(1).numpy() == clf.predict(X)).all())
    assert read(torch.zeros(0, 6)).shape == (0, 3)


def test_zero_probabilities_stay_finite_and_margins_keep_their_sign():
    read = read_model(RandomForestClassifier(3, random_state=0).fit(X, Y))
    z = read(torch.from_numpy(X))
    assert bool(z.isfinite().all()) and float(z.min()) < -80
    margin = Untargeted(torch.from_numpy(Y))(z)
    assert bool((margin < 0).float().mean() > 0.9)


def test_values_of_a_decision_function_serve_too():
    two = LinearSVC().fit(X, Y > 0)
    z = read_model(two)(torch.from_numpy(X))
    assert (z[:, 1] - z[:, 0]).numpy() == pytest.approx(two.decision_function(X), abs=1e-5)
    assert read_model(LinearSVC().fit(X, Y))(torch.from_numpy(X)).shape == (90, 3)


def test_classes_stand_where_data_number_them():
    z = read_model(LogisticRegression().fit(X, Y * 2))(torch.from_numpy(X))
    assert z.shape == (90, 5) and set(z.argmax(1).tolist()) == {0, 2, 4}
    named = LogisticRegression().fit(X, np.array(["a", "b", "c"])[Y])
    assert read_model(named)(torch.from_numpy(X)).shape == (90, 3)
    texts = ["good film", "bad film", "good", "bad"]
    pipe = make_pipeline(CountVectorizer(), MultinomialNB()).fit(texts, [1, 0, 1, 0])
    assert read_model(pipe)(texts).argmax(1).tolist() == [1, 0, 1, 0]


@pytest.mark.parametrize(
    "make",
    [
        lambda: LinearRegression().fit(X, Y),
        lambda: LogisticRegression(),
        lambda: LogisticRegression().fit(X, np.where(Y > 0, 1, -1)),
    ],
    ids=["regression", "unfitted", "negative"],
)
def test_what_is_no_classifier_is_refused(make):
    with pytest.raises(HoldfastError) as caught:
        read_model(make())
    assert caught.value.code == "E0115" and caught.value.fix


def test_several_labels_per_row_are_refused():
    many = RandomForestClassifier(2).fit(X, np.stack([Y, Y], 1))
    with pytest.raises(HoldfastError):
        read_model(many)(torch.from_numpy(X))


def test_identity_is_what_was_learned_and_the_same_in_another_process(tmp_path, monkeypatch):
    (tmp_path / "clf.py").write_text(CODE)
    monkeypatch.chdir(tmp_path)
    once = read_model("clf.py:clf").about["digest"]
    assert read_model("clf.py:forest").about["digest"] == once
    code = (
        "from holdfast.readers import read_model; print(read_model('clf.py:clf').about['digest'])"
    )
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert told.stdout.strip() == once
    other = read_model(RandomForestClassifier(5, random_state=1).fit(X, Y))
    assert other.about["digest"] != once


def test_pickles_run_only_with_trust(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    clf = LogisticRegression().fit(X, Y)
    (tmp_path / "a.pkl").write_bytes(pickle.dumps(clf))
    joblib.dump(clf, tmp_path / "b.joblib")
    for name in ("a.pkl", "b.joblib"):
        with pytest.raises(HoldfastError) as caught:
            read_model(tmp_path / name)
        assert caught.value.code == "E0401" and "--trust" in caught.value.fix
        read = read_model(tmp_path / name, trust=True)
        assert torch.equal(read(torch.from_numpy(X)), read_model(clf)(torch.from_numpy(X)))
    joblib.dump({"a": 1}, tmp_path / "c.joblib")
    with pytest.raises(HoldfastError):
        read_model(tmp_path / "c.joblib", trust=True)
    import zipfile

    with zipfile.ZipFile(tmp_path / "d.skops", "w") as file:
        file.writestr("schema.json", "{}")
    for trust in (False, True):
        with pytest.raises(HoldfastError) as caught:
            read_model(tmp_path / "d.skops", trust=trust)
        assert caught.value.code == "E0402"


def test_the_preflight_says_that_it_is_a_black_box():
    asked = subject(LogisticRegression().fit(X, Y), (X, Y))
    says = " ".join(f.says for f in preflight(asked))
    assert "estimator" in says and "No gradient reaches the input" in says
