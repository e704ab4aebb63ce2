"""Model folders of Hugging Face: outputs of the model that was saved, and nothing of theirs run."""

from __future__ import annotations

import json
import shutil
import sys
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from safetensors.torch import save_file

from holdfast.core.errors import HoldfastError
from holdfast.readers import read_model

here = pytest.mark.skipif(find_spec("transformers") is None, reason="the extra hf is not installed")
PICTURE = {"num_channels": 1, "image_size": 8, "patch_size": 4, "hidden_size": 16}
SMALL = {"num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}


def vit(folder: Path, labels: int = 3):
    """A tiny vision transformer, and its folder."""
    from transformers import ViTConfig, ViTForImageClassification

    torch.manual_seed(0)
    model = ViTForImageClassification(ViTConfig(**PICTURE, **SMALL, num_labels=labels)).eval()
    model.save_pretrained(folder)
    return model


def bert(folder: Path):
    """A tiny classifier of texts with a tokenizer of words."""
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import BertConfig, BertForSequenceClassification

    torch.manual_seed(0)
    told = {"vocab_size": 6, "hidden_size": 16, "max_position_embeddings": 8, "num_labels": 2}
    model = BertForSequenceClassification(BertConfig(**told, **SMALL)).eval()
    model.save_pretrained(folder)
    words = {w: k for k, w in enumerate(("[PAD]", "[UNK]", "good", "bad", "film", "not"))}
    made = Tokenizer(models.WordLevel(words, unk_token="[UNK]"))
    made.pre_tokenizer = pre_tokenizers.Whitespace()
    made.save(str(folder / "tokenizer.json"))
    return model


def told(folder: Path, file: str = "config.json", **changes) -> None:
    path = folder / file
    known = json.loads(path.read_text()) if path.is_file() else {}
    path.write_text(json.dumps(known | changes))


def code_of(spec, **more) -> str:
    with pytest.raises(HoldfastError) as caught:
        read_model(spec, **more)
    assert caught.value.says and caught.value.fix
    return caught.value.code


@here
def test_a_classifier_of_pictures_normalises_inside_and_has_gradients(tmp_path):
    model, x = vit(tmp_path), torch.rand(4, 1, 8, 8)
    read = read_model(tmp_path, shape=(1, 8, 8), classes=3)
    assert (
        read.about["kind"] == "huggingface" and "ViTForImageClassification" in read.about["reading"]
    )
    assert torch.allclose(read(x), model(pixel_values=x).logits, atol=1e-6)
    assert torch.equal(read(x.flatten(1)), read(x))
    x.requires_grad_()
    assert bool((torch.autograd.grad(read(x).sum(), x)[0] != 0).any())
    told(tmp_path, "preprocessor_config.json", image_mean=[0.5], image_std=[0.25])
    own = read_model(tmp_path)
    assert torch.allclose(own(x), model(pixel_values=(x - 0.5) / 0.25).logits, atol=1e-5)
    assert own.about["digest"] != read.about["digest"]
    other = read_model(tmp_path, mean=(0.0,), std=(1.0,), shape=(1, 8, 8))
    assert torch.allclose(other(x), read(x), atol=1e-5), "what the user says goes before"
    told(tmp_path, "preprocessor_config.json", do_normalize=False)
    assert torch.equal(read_model(tmp_path)(x), read(x))


@here
def test_a_classifier_of_texts_tokenizes_inside(tmp_path):
    model = bert(tmp_path)
    read = read_model(str(tmp_path))
    z = read(["good film", "not good", "odd " * 99])
    ids = torch.tensor([[2, 4, 0], [5, 2, 0]])
    mask = torch.tensor([[1, 1, 0], [1, 1, 0]])
    assert torch.allclose(z[:2], model(input_ids=ids, attention_mask=mask).logits, atol=1e-6)
    assert torch.allclose(read({"ids": ids, "mask": mask}), z[:2], atol=1e-6)
    before = read.about["digest"]
    text = (tmp_path / "tokenizer.json").read_text().replace('"good": 2', '"good": 3')
    (tmp_path / "tokenizer.json").write_text(text.replace('"bad": 3', '"bad": 2'))
    assert read_model(tmp_path).about["digest"] != before
    (tmp_path / "tokenizer.json").write_text("{}")
    assert code_of(tmp_path) == "E0411"
    (tmp_path / "tokenizer.json").unlink()
    assert code_of(tmp_path) == "E0116"


@here
def test_code_of_a_folder_is_never_run(tmp_path):
    vit(tmp_path)
    (tmp_path / "evil.py").write_text(f"open({str(tmp_path / 'marker')!r}, 'w').close()")
    told(tmp_path, auto_map={"AutoConfig": "evil.C", "AutoModelForImageClassification": "evil.M"})
    read_model(tmp_path)  # transformers knows a ViT: its own code builds it
    told(tmp_path, model_type="evil")
    for trust in (False, True):
        assert code_of(tmp_path, trust=trust) == "E0402"
    assert not (tmp_path / "marker").exists()


@here
def test_another_model_is_never_read_in_place_of_the_folder(tmp_path):
    """An adapter names its base by an address or a path."""
    model, x = vit(tmp_path / "net"), torch.rand(2, 1, 8, 8)
    told(tmp_path / "net", "adapter_config.json", base_model_name_or_path="somebody/else")
    assert torch.allclose(read_model(tmp_path / "net")(x), model(pixel_values=x).logits, atol=1e-6)


@here
def test_weights_that_do_not_fit_are_refused(tmp_path):
    model = vit(tmp_path)
    state = {n: v.clone() for n, v in model.state_dict().items()}
    del state["classifier.weight"]
    save_file(state, tmp_path / "model.safetensors")
    assert code_of(tmp_path) == "E0118"  # a head drawn at random would be audited otherwise
    vit(tmp_path)
    told(tmp_path, hidden_size=32)
    assert code_of(tmp_path) in ("E0116", "E0118")
    told(tmp_path, hidden_size="many")
    assert code_of(tmp_path) == "E0116"


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("", "E0116"), ("[]", "E0116"), ("[" * 99_999, "E0116"), ("{}", "E0302"),
        ('{"architectures": 3}', "E0302"), ('{"architectures": ["GPT2LMHeadModel"]}', "E0302"),
        ('{"architectures": ["ViTForImageClassification"]}', "E0116"),
    ],
)  # fmt: skip
def test_descriptions_that_are_none_are_refused(tmp_path, text, code):
    (tmp_path / "config.json").write_text(text)
    assert code_of(tmp_path) == code


def test_an_index_cannot_name_files_elsewhere(tmp_path):
    told(tmp_path, architectures=["ViTForImageClassification"], model_type="vit")
    save_file({"w": torch.zeros(2)}, tmp_path / "outside.safetensors")
    for name in ("../outside.safetensors", str(tmp_path / "outside.safetensors"), "a.bin"):
        told(tmp_path, "model.safetensors.index.json", weight_map={"w": name})
        assert code_of(tmp_path) == "E0411"
    told(tmp_path, "model.safetensors.index.json", weight_map={"w": "missing.safetensors"})
    assert code_of(tmp_path) == "E0116"
    (tmp_path / "pytorch_model.bin").write_bytes(b"\x80\x02}.")
    assert code_of(tmp_path) == "E0116"


def test_without_transformers_it_is_said_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "transformers", None)
    told(tmp_path, architectures=["ViTForImageClassification"], model_type="vit")
    save_file({"w": torch.zeros(2)}, tmp_path / "model.safetensors")
    assert code_of(tmp_path) == "E0603"
    assert code_of(tmp_path, max_bytes=10) == "E0135"


@pytest.fixture
def hub(tmp_path, monkeypatch):
    """A hub whose folders lie beside it; what was asked of it is noted."""
    asked: list[tuple[str, ...]] = []

    class Api:
        def model_info(self, name, revision=None):
            asked.append(("info", name, revision))
            if name == "nobody/nothing":
                raise OSError("404: there is no such model")
            return SimpleNamespace(sha="c0ffee" * 6)

    def snapshot_download(name, revision, allow_patterns):
        asked.append(("fetch", name, revision))
        folder = tmp_path / "cache" / revision
        shutil.copytree(tmp_path / name, folder, ignore=lambda *_: ["evil.py"], dirs_exist_ok=True)
        return str(folder)

    fake = SimpleNamespace(HfApi=Api, snapshot_download=snapshot_download)
    real = sys.modules.get("huggingface_hub.constants")
    constants = real or SimpleNamespace(HF_HUB_OFFLINE=False)
    monkeypatch.setattr(
        "holdfast.readers.hub.extra", lambda n: fake if n == "huggingface_hub" else constants
    )
    return asked


def test_names_on_the_hub_need_leave(hub):
    for spec in ("hf:org/name", "hf:org/name@main", "hf:name"):
        with pytest.raises(HoldfastError, match="network") as caught:
            read_model(spec)
        assert caught.value.code == "E0166" and "--allow-network" in caught.value.fix
    for spec in ("hf:", "hf:../x", "hf:a/b/c", "hf:a/../b", "hf:a/b@../c", "hf:a b", "hf:http://x"):
        assert code_of(spec, network=True) == "E0110"
    assert not hub
    assert code_of("hf:nobody/nothing", network=True) == "E0190"


@here
def test_a_revision_is_resolved_fetched_and_noted(hub, tmp_path):
    model, x = vit(tmp_path / "org" / "net"), torch.rand(2, 1, 8, 8)
    read = read_model("hf:org/net@main", network=True)
    assert torch.allclose(read(x), model(pixel_values=x).logits, atol=1e-6)
    commit = "c0ffee" * 6
    assert hub == [("info", "org/net", "main"), ("fetch", "org/net", commit)]
    assert commit in read.about["reading"] and read.about["name"] == "org/net@main"
    assert read.about["digest"] == read_model(tmp_path / "org" / "net").about["digest"]
