"""Every form of model with every form of data, through the front door: 9 x 8 pairs.

Nothing is said but --arch, --target and --trust. Each pair must give a subject of all rows in
their order with the right labels, and the answers of the classifier that was saved.
"""

from __future__ import annotations

import pytest
import torch
from tests.readers import forms

from holdfast.cli.prepare import subject_of
from holdfast.core.goal import logits
from holdfast.core.quiet import quiet

ONE = {"threat": ["linf:0.1"], "seed": 0}
X = torch.from_numpy(forms.BYTES)[:, None] / 255


@pytest.fixture(scope="module", params=forms.DATA, ids=lambda f: f.__name__)
def rows(request, tmp_path_factory):
    root = tmp_path_factory.mktemp("pairs")
    (root / "net.py").write_text(forms.NET)
    spec, options = request.param(root)
    shape = (forms.SIDE**2,) if request.param in forms.TABLES else (1, forms.SIDE, forms.SIDE)
    return root, {"data": spec} | options, shape


@pytest.fixture(scope="module")
def expected(tmp_path_factory):
    """Answers of each kind of model to the rows, once, without a reader."""
    space: dict = {}
    exec(forms.CLF, space)
    with torch.no_grad():
        told = {"python": forms.network()(X)}
    told["estimator"] = torch.from_numpy(space["clf"].predict_log_proba(X.flatten(1).numpy()))
    return told


@pytest.mark.parametrize("form", forms.MODELS, ids=lambda f: f.__name__)
def test_a_pair_is_read_and_answers(form, rows, expected, monkeypatch, tmp_path):
    if missing := forms.absent(form):
        pytest.skip(f"the package {missing} is not installed")
    root, chosen, shape = rows
    monkeypatch.chdir(root)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    with form(root, shape) as (model, options):
        trust = options.pop("trust", False)
        asked = subject_of(model, ONE | chosen | options, trust)
        assert len(asked.batches) == forms.ROWS and asked.batches.classes == ("0", "1", "2")
        order = torch.from_numpy(forms.LABELS).argsort(stable=True)
        rows_of = order if chosen["data"] == "pictures" else torch.arange(forms.ROWS)
        assert asked.batches.y.tolist() == forms.LABELS[rows_of].tolist()
        with quiet(asked.model), torch.no_grad():
            z = logits(asked.model(asked.batches.x))
    assert z.shape == (forms.ROWS, forms.CLASSES) and bool(z.isfinite().all())
    if form is forms.folder:
        from transformers import ViTForImageClassification

        saved = ViTForImageClassification.from_pretrained("vit").eval()
        with torch.no_grad():
            want = saved(pixel_values=X).logits
    else:
        want = expected["estimator" if form is forms.estimator else "python"]
    assert torch.allclose(z.double(), want[rows_of].double(), atol=1e-4)


def test_there_are_seventy_two_pairs():
    assert len(forms.MODELS) * len(forms.DATA) == 72


@pytest.mark.parametrize("model", ["entry", "endpoint", "pipeline"])
@pytest.mark.parametrize("data", ["lines", "prompts", "set"])
def test_texts_reach_what_takes_texts(model, data, tmp_path, monkeypatch):
    import duckdb

    monkeypatch.chdir(tmp_path)
    texts = [f"text number {k}" for k in range(6)]
    (tmp_path / "lines").write_text("".join(f'{{"prompt": "{t}"}}\n' for t in texts))
    (tmp_path / "prompts.txt").write_text("\n".join(texts))
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / "dataset_info.json").write_text("{}")
    query = "select unnest(" + repr(texts) + ") as text"
    duckdb.sql(f"copy ({query}) to '{tmp_path / 'set' / 'test.parquet'}' (format parquet)")
    (tmp_path / "net.py").write_text(
        "import torch\n"
        "def net():\n"
        "    return lambda texts: torch.tensor([[len(t), ord(t[-1])] for t in texts]).float()\n"
        "def pipeline():\n"
        "    from sklearn.feature_extraction.text import TfidfVectorizer as V\n"
        "    from sklearn.naive_bayes import MultinomialNB as N\n"
        "    from sklearn.pipeline import make_pipeline\n"
        "    return make_pipeline(V(token_pattern='.'), N()).fit(['a 0', 'b 1'], [0, 1])\n"
    )

    def answer(rows, handler):
        return {"logits": [[len(t), 1.0] for t in rows]}

    with forms.served(answer) as (url, _):
        spec = {"entry": "net.py:net", "endpoint": url, "pipeline": "net.py:pipeline"}[model]
        named = "prompts.txt" if data == "prompts" else data
        asked = subject_of(spec, ONE | {"data": named})
        assert asked.batches.x == texts and asked.batches.y.tolist() == [-100] * 6
        assert logits(asked.model(asked.batches.x)).shape == (6, 2)
