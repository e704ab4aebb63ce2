"""Every form of model gives the outputs of the model that was saved."""

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from holdfast.core.errors import ConfigError, HoldfastError, ShapeError, UntrustedFile
from holdfast.readers import ReadModel, read_model
from holdfast.readers.suggest import suggestions

CODE = """
import torch
from torch import nn

class Net(nn.Module):
    def __init__(self, width=4):
        super().__init__()
        self.stem = nn.Conv2d(1, width, 3)
        self.norm = nn.BatchNorm2d(width)
        self.head = nn.Linear(4 * width, 3)

    def forward(self, x):
        return self.head(self.norm(self.stem(x)).flatten(1))

class Other(nn.Module):
    def __init__(self):
        super().__init__()
        self.stem = nn.Linear(2, 2)
        self.tail = nn.Linear(2, 2)

def wide():
    return Net(8)

def sized(num_classes):
    return nn.Sequential(nn.Flatten(), nn.Linear(16, num_classes))

def number():
    return 3
"""


@pytest.fixture
def place(tmp_path, monkeypatch):
    (tmp_path / "nets.py").write_text(CODE)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def saved(place):
    model = read_model("nets.py:Net").model
    with torch.no_grad():
        for p in model.parameters():
            p.copy_(torch.linspace(-1, 1, p.numel()).reshape(p.shape))
    return model


X = torch.linspace(0, 1, 32).reshape(2, 1, 4, 4)


def write(kind, model):
    state = model.state_dict()
    if kind == "safetensors":
        save_file(state, "w")
    elif kind == "old":
        torch.save(state, "w", _use_new_zipfile_serialization=False)
    elif kind == "wrapped":
        torch.save({"epoch": 3, "state_dict": state}, "w")
    elif kind == "parallel":
        torch.save({f"module.{k}": v for k, v in state.items()}, "w")
    else:
        torch.save(state, "w")


@pytest.mark.parametrize("kind", ["new", "old", "wrapped", "parallel", "safetensors"])
def test_weights(saved, kind):
    write(kind, saved)
    read = read_model("w", arch="nets.py:Net")
    assert torch.equal(read.model(X), saved(X)) and not read.model.training
    assert read.about["name"] == "w" and read.about["parameters"] == 99
    assert read.about["kind"] == ("safetensors" if kind == "safetensors" else "state_dict")
    assert read.about["digest"] == read_model("w", arch="nets.py:Net").about["digest"]


def test_missing_architecture_is_suggested(saved):
    write("new", saved)
    with pytest.raises(ConfigError) as caught:
        read_model("w")
    text = str(caught.value)
    assert caught.value.code == "E0117" and "holds weights only (9 tensors)" in text
    assert "nets.py:Net has 3 of 3 parameter names" in text and "--arch nets.py:Net" in text
    assert "Other" not in text and "also possible: nets.py:wide" in text.lower()


def test_candidates_are_ranked(place):
    names = ["stem.weight", "norm.bias", "head.weight"]
    found = [c.entry for c in suggestions([place], names)]
    assert found[0] == "nets.py:Net" and set(found) == {"nets.py:Net", "nets.py:wide"}
    assert [c.entry for c in suggestions([place], ["1.weight", "1.bias"])] == ["nets.py:sized"]
    assert suggestions([place], ["foreign.weight"]) == []


def test_weights_that_do_not_fit(saved):
    write("new", saved)
    with pytest.raises(ConfigError, match=r"shapes: .* instead of .* and \d more") as caught:
        read_model("w", arch="nets.py:wide")
    assert caught.value.code == "E0118"
    with pytest.raises(ConfigError, match=r"missing: .*unknown: "):
        read_model("w", arch="nets.py:Other")


def test_entries_and_callables(place):
    assert read_model("nets.py:wide").about["name"] == "nets.py:wide"
    function = read_model(lambda x: x.flatten(1)[:, :2])
    assert function(X).shape == (2, 2) and function.about["parameters"] == 0
    training = nn.Sequential(nn.Flatten(), nn.Dropout())
    assert read_model(training).model is training and not training.training
    again = read_model(function)
    assert isinstance(again, ReadModel) and again.model is function.model


def test_classes_reach_the_architecture_and_fresh_ones_can_be_made(place):
    torch.save(nn.Sequential(nn.Flatten(), nn.Linear(16, 5)).state_dict(), "w.pt")
    read = read_model("w.pt", arch="nets.py:sized", classes=5, shape=(1, 4, 4))
    one, two, other = read.make(1), read.make(1), read.make(2)
    assert torch.equal(one(X), two(X)) and not torch.equal(one(X), other(X))


def test_mean_and_std_go_inside(saved):
    wrapped = read_model(saved, mean=(0.2,), std=0.5, shape=(1, 4, 4), classes=3)
    assert torch.allclose(wrapped(X), saved((X - 0.2) / 0.5), atol=1e-6)
    assert wrapped.about["digest"] != read_model(saved).about["digest"]
    for mean, std in (((0.1, 0.2, 0.3), None), ((0.1, 0.2), (1.0, 1.0, 1.0)), (0.0, 0.0)):
        with pytest.raises(ConfigError) as caught:
            read_model(saved, mean=mean, std=std, shape=(1, 4, 4))
        assert caught.value.code == "E0119"


def test_mean_and_std_of_tables_are_per_column():
    rows = torch.rand(6, 3)
    seen = read_model(lambda x: x, mean=(1.0, 2.0, 3.0), std=(1.0, 2.0, 4.0))(rows)
    assert torch.allclose(seen, (rows - torch.tensor([1.0, 2, 3])) / torch.tensor([1.0, 2, 4]))
    assert read_model(lambda x: x, mean=0.5, std=2.0)(rows).shape == (6, 3)


def test_whole_models_only_with_trust(place):
    model = nn.Sequential(nn.Flatten(), nn.Linear(16, 2))
    torch.save(model, "whole.pt")
    with pytest.raises(UntrustedFile, match=r"torch\.nn"):
        read_model("whole.pt")
    read = read_model("whole.pt", trust=True)
    assert read.about["kind"] == "pickle" and torch.equal(read(X), model(X))


def test_exported_programs_only_with_trust(place):
    model = nn.Sequential(nn.Flatten(), nn.Linear(16, 2)).eval()
    rows = {0: torch.export.Dim("rows", min=1)}
    torch.export.save(torch.export.export(model, (X,), dynamic_shapes=(rows,)), "m.pt2")
    with pytest.raises(UntrustedFile) as caught:
        read_model("m.pt2")
    assert caught.value.code == "E0402" and "--trust" in caught.value.fix
    read = read_model("m.pt2", trust=True)
    assert read.about["kind"] == "pt2" and torch.allclose(read(X[:1]), model(X[:1]))


@pytest.mark.parametrize(
    ("spec", "code"),
    [("no.pt", "E0110"), ("nets.py", "E0110"), ("nets.py:number", "E0115"), ("odd", "E0302"),
     ("nets.py:Nett", "E0113"), ("zip", "E0116"), ("nets.py:sized", "E0114")],
)  # fmt: skip
def test_what_cannot_be_read_says_why(place, spec, code):
    import zipfile

    (place / "odd").write_bytes(b"hello, this is no model")
    with zipfile.ZipFile("zip", "w") as file:
        file.writestr("readme.txt", "x")
    with pytest.raises(HoldfastError) as caught:
        read_model(spec)
    assert caught.value.code == code and caught.value.fix


def test_a_model_for_other_inputs(saved):
    with pytest.raises(ShapeError, match="does not take"):
        read_model(saved, shape=(3, 9, 9))
    with pytest.raises(ShapeError, match="of 4 classes"):
        read_model(saved, shape=(1, 4, 4), classes=4)
