import ast
import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from tests.certify.onnx_nets import mlp, residual, save, shared, specification

import holdfast.certify.checker as package
from holdfast.certify.checker import Rejected, check
from holdfast.certify.checker.bounds import Bounds, Region
from holdfast.certify.checker.check import tightened
from holdfast.certify.checker.network import Network
from holdfast.certify.checker.specification import alternatives
from holdfast.certify.properties.proofs import Proof
from holdfast.certify.properties.verify import verify
from holdfast.cli.front import run

pytest.importorskip("onnx")

from holdfast.readers.onnx import read_onnx
from holdfast.readers.vnnlib import read_property


def top(net, low, high, output=0, count=20_000):
    """The largest sampled value of an output."""
    share = torch.rand(count, len(low), generator=torch.Generator().manual_seed(0))
    x = low + share * (high - low)
    with torch.no_grad():
        return float(net(x.reshape(-1, *net.shape).float())[:, output].max())


def proved(folder, network, spec, seconds=20.0):
    """The proof that a search recorded; None if it did not prove anything."""
    found = verify(read_onnx(network), read_property(spec), timeout=seconds, record=True)
    if found.proof is None:
        return None
    path = folder / "proof.npz"
    found.proof.save(path, network=hashlib.sha256(network.read_bytes()).hexdigest(),
                     property=hashlib.sha256(spec.read_bytes()).hexdigest())  # fmt: skip
    return path


def small(folder, gap=0.3, seed=0, boxed=0.3):
    """A network and a specification that holds by a gap."""
    network = mlp(folder / "net.onnx", seed=seed)
    low, high = torch.full((3,), -boxed), torch.full((3,), boxed)
    limit = top(read_onnx(network), low, high) + gap
    spec = specification(folder / "spec.vnnlib", low.tolist(), high.tolist(),
                         f"(>= Y_0 {limit!r})", count=2)  # fmt: skip
    return network, spec


def split_proof(network, spec):
    """Signs of ReLUs instead of inputs, with slopes and multipliers of splits."""
    way = next(iter(alternatives(spec.read_text())))
    proof = Proof(2)
    root = proof.root(torch.from_numpy(way.low), torch.from_numpy(way.high))
    leaves = [root]
    for layer, entry in [(0, 0), (0, 3), (1, 2), (1, 5)]:
        leaves = [child for node in leaves for child in proof.split_relu(node, layer, entry)]
    for node in leaves:
        own = proof.bounds(node, slopes={1: {0: torch.full((16, 8), 0.5)}})
        proof.refute(node, 0, own, multipliers=torch.ones(1), betas={(0, 0): 0.01},
                     slopes={0: torch.full((8,), 0.3), 1: torch.full((8,), 0.6)})  # fmt: skip
    path = network.parent / "split.npz"
    proof.save(path, network=hashlib.sha256(network.read_bytes()).hexdigest(),
               property=hashlib.sha256(spec.read_bytes()).hexdigest())  # fmt: skip
    return path


def altered(path, **changes):
    """A proof with some arrays replaced by functions of them."""
    with np.load(path) as file:
        arrays = dict(file)
    for name, change in changes.items():
        arrays[name] = change(arrays[name])
    np.savez(path, **arrays)
    return path


@pytest.mark.parametrize("seed", range(4))
def test_true_statements_are_proved_and_accepted(seed, tmp_path):
    network, spec = small(tmp_path, seed=seed)
    path = proved(tmp_path, network, spec)
    assert path is not None
    assert check(network, spec, path).refutations >= 1


@pytest.mark.parametrize("seed", range(4))
def test_false_statements_are_not_accepted_whatever_the_proof(seed, tmp_path):
    network, spec = small(tmp_path, gap=-0.01, seed=seed)
    assert proved(tmp_path, network, spec, seconds=1.0) is None
    with pytest.raises(Rejected, match="not refuted everywhere"):
        check(network, spec, split_proof(network, spec))


def test_many_inputs_and_several_alternatives_are_proved_and_accepted(tmp_path):
    network = mlp(tmp_path / "net.onnx", (24, 10, 10, 3), seed=2)
    low, high = torch.full((24,), -0.05), torch.full((24,), 0.05)
    net = read_onnx(network)
    tops = [top(net, low, high, j) + 4 for j in range(3)]
    said = " ".join(f"(and (>= Y_{j} {v!r}))" for j, v in enumerate(tops))
    spec = specification(tmp_path / "s.vnnlib", low.tolist(), high.tolist(),
                         f"(or {said})", count=3)  # fmt: skip
    path = proved(tmp_path, network, spec)
    assert path is not None
    with np.load(path) as file:
        assert (file["nodes"][:, 1] == 2).any()  # signs of ReLUs were split
    assert check(network, spec, path).alternatives == 3


@pytest.mark.parametrize(("inputs", "radius", "gap"), [(2, 1.0, 0.05), (24, 0.05, 0.5)])
def test_a_value_before_two_relus_is_split_once_and_accepted(inputs, radius, gap, tmp_path):
    """Few inputs are split themselves, of many the signs; either proof must reach the checker."""
    network = shared(tmp_path / "net.onnx", inputs)
    low, high = torch.full((inputs,), -radius), torch.full((inputs,), radius)
    limit = top(read_onnx(network), low, high) + gap
    spec = specification(tmp_path / "s.vnnlib", low.tolist(), high.tolist(),
                         f"(>= Y_0 {limit!r})", count=2)  # fmt: skip
    path = proved(tmp_path, network, spec)
    assert path is not None
    with np.load(path) as file:
        kinds, betas = file["nodes"][:, 1], file["betas"]
    assert (kinds == (2 if inputs > 20 else 1)).any()
    assert len(betas) or inputs < 20
    assert check(network, spec, path).alternatives == 1


def test_what_has_no_unsafe_inputs_needs_no_refutation(tmp_path):
    network = mlp(tmp_path / "net.onnx")
    spec = specification(tmp_path / "s.vnnlib", [0, 0, 0], [1, 1, 1], "(>= Y_0 0)", "(<= X_0 -1)",
                         count=2)  # fmt: skip
    found = check(network, spec, proved(tmp_path, network, spec))
    assert found.alternatives == found.refutations == 0


def test_splits_of_relus_with_slopes_and_multipliers_are_accepted(tmp_path):
    network, spec = small(tmp_path, gap=4.0)
    assert check(network, spec, split_proof(network, spec)).leaves == 16


def test_convolutions_and_shortcuts_are_read(tmp_path):
    network = residual(tmp_path / "net.onnx")
    net = read_onnx(network)
    low = torch.rand(32, generator=torch.Generator().manual_seed(1))
    high = low + 0.05
    limit = top(net, low, high) + 0.2
    spec = specification(tmp_path / "s.vnnlib", low.tolist(), high.tolist(),
                         f"(>= Y_0 {limit!r})", count=3)  # fmt: skip
    path = proved(tmp_path, network, spec)
    assert path is not None
    assert check(network, spec, path).alternatives == 1


def test_the_network_is_read_as_onnxruntime_computes_it(tmp_path):
    for path in (mlp(tmp_path / "a.onnx"), residual(tmp_path / "b.onnx")):
        net, module = Network(path.read_bytes()), read_onnx(path)
        x = torch.randn(5, *module.shape, generator=torch.Generator().manual_seed(2))
        points = x.double().flatten(1).numpy()
        bounds = Bounds(net, Region(points, points, {}))
        for layer, number in enumerate(net.layers):
            bounds.upto(number)
            bounds.region.before[layer] = bounds.low[number], bounds.high[number]
        bounds.upto(net.output)
        exact = module.double()(x.double()).detach().numpy()
        assert (bounds.low[net.output] <= exact).all()
        assert (exact <= bounds.high[net.output]).all()
        assert (bounds.high[net.output] - bounds.low[net.output] < 1e-9).all()


@pytest.mark.parametrize("seed", range(3))
def test_bounds_contain_everything_that_is_sampled(seed, tmp_path):
    path = (
        residual(tmp_path / "n.onnx", seed) if seed else mlp(tmp_path / "n.onnx", (4, 9, 9, 9, 3))
    )
    net, module = Network(path.read_bytes()), read_onnx(path).double()
    rng = np.random.default_rng(seed)
    size = net.size(0)
    low = rng.normal(size=(4, size))
    high = low + rng.uniform(0, 0.5, size=(4, size))
    region = Region(low, high, {})
    bounds = Bounds(net, region)
    for layer, number in enumerate(net.layers):
        bounds.upto(number)
        slopes = {j: rng.uniform(size=(4, 1, net.size(net.layers[j]))) for j in range(layer)}
        region.before[layer] = tightened(
            bounds, number, bounds.low[number], bounds.high[number], slopes
        )
    bounds.upto(net.output)
    outs = net.size(net.output)
    a = rng.normal(size=(4, 5, outs))
    slopes = {j: rng.uniform(size=(4, 1, net.size(n))) for j, n in enumerate(net.layers)}
    lower = bounds.backward(net.output, a, np.zeros((4, 5)), slopes, {})
    share = rng.uniform(size=(500, 4, size)).round(1)
    x = torch.from_numpy(low + share * (high - low)).reshape(-1, *module.shape)
    y = module(x).detach().numpy().reshape(500, 4, outs)
    seen = np.einsum("lto,slo->slt", a, y).min(0)
    assert (lower <= seen + 1e-12).all()
    assert (lower > seen - 100).all()  # says something


MUTANTS = {
    "a leaf is dropped": {"nodes": lambda v: v[:-1], "cuts": lambda v: v[:-1]},
    "a leaf is not refuted": {
        "refutations": lambda v: v[:-1], "multipliers": lambda v: v[:-1],
        "alphas": lambda v: v[v[:, 1] < 15], "betas": lambda v: v[:-1],
        "beta_values": lambda v: v[:-1],
    },
    "a slope above 1": {"alpha_values": lambda v: np.where(np.arange(len(v)) == 7, 1.01, v)},
    "a slope below 0": {"alpha_values": lambda v: np.where(np.arange(len(v)) == 7, -0.01, v)},
    "a slope that is not a number": {"alpha_values": lambda v: v * np.nan},
    "a smaller root": {"high": lambda v: v - 0.01},
    "a factor below 0": {"multipliers": lambda v: -v},
    "factors of nothing": {"multipliers": lambda v: 0 * v},
    "a multiplier of a split below 0": {"beta_values": lambda v: -v},
    "a multiplier without a split": {"betas": lambda v: v + np.array([0, 0, 1])},
    "both children on one side": {"nodes": lambda v: v * np.array([1, 1, 1, 1, 0])},
    "children of different splits": {"nodes": lambda v: shifted(v, 2, [0, 0, 0, 1, 0])},
    "a parent below its child": {"nodes": lambda v: shifted(v, 5, [20, 0, 0, 0, 0])},
    "bounds of another branch": {"bounds": lambda v: np.roll(v, 1)},
    "bounds of no node": {"bounds": lambda v: v + 100},
    "another alternative": {"refutations": lambda v: v + np.array([0, 1, 0])},
    "another network": {"header": lambda v: named(v, "network")},
    "another property": {"header": lambda v: named(v, "property")},
    "another version": {"header": lambda v: named(v, "version")},
    "objects": {"cuts": lambda v: v.astype(object)},
    "another type": {"nodes": lambda v: v.astype(float)},
}  # fmt: skip


def shifted(table, row, by):
    return table + (np.arange(len(table)) == row)[:, None] * np.array(by)


def named(header, key):
    words = json.loads(header.tobytes())
    return np.frombuffer(json.dumps(words | {key: "0" * 64}).encode(), dtype=np.uint8)


@pytest.mark.parametrize("name", MUTANTS)
def test_proofs_with_a_fault_are_rejected(name, tmp_path):
    network, spec = small(tmp_path, gap=4.0)
    path = split_proof(network, spec)
    check(network, spec, path)
    with pytest.raises(Rejected):
        check(network, spec, altered(path, **MUTANTS[name]))


def test_a_proof_is_about_its_own_weights_and_region(tmp_path):
    network, spec = small(tmp_path, gap=4.0)
    path = split_proof(network, spec)
    digest = hashlib.sha256(network.read_bytes()).hexdigest()

    def signed(header):
        words = json.loads(header.tobytes())
        words["network"] = hashlib.sha256(network.read_bytes()).hexdigest()
        words["property"] = hashlib.sha256(spec.read_bytes()).hexdigest()
        return np.frombuffer(json.dumps(words).encode(), dtype=np.uint8)

    mlp(network, seed=11)  # other weights under the same proof, even with the right digest
    assert hashlib.sha256(network.read_bytes()).hexdigest() != digest
    low, high = torch.full((3,), -0.3), torch.full((3,), 0.3)
    limit = top(read_onnx(network), low, high) - 0.01
    specification(spec, [-0.3] * 3, [0.3] * 3, f"(>= Y_0 {limit!r})", count=2)
    with pytest.raises(Rejected, match="not refuted"):
        check(network, spec, altered(path, header=signed))
    network, spec = small(tmp_path, gap=4.0)
    path = split_proof(network, spec)
    spec.write_text(spec.read_text().replace("(<= X_0 0.3", "(<= X_0 0.4"))
    with pytest.raises(Rejected, match="not refuted"):
        check(network, spec, altered(path, header=signed))


def test_operators_that_are_not_read_are_named(tmp_path):
    network = save(tmp_path / "s.onnx", [("Sigmoid", ["x"], ["y"], {})], {}, [1, 2], [1, 2])
    spec = specification(tmp_path / "s.vnnlib", [0, 0], [1, 1], "(>= Y_0 2)", count=2)
    with pytest.raises(Rejected, match="Sigmoid"):
        check(network, spec, split_proof(network, spec))


def test_no_proof_is_written_that_the_checker_could_not_read(tmp_path, capsys):
    network = save(tmp_path / "s.onnx", [("Sigmoid", ["x"], ["y"], {})], {}, [1, 2], [1, 2])
    spec = specification(tmp_path / "s.vnnlib", [0, 0], [1, 1], "(>= Y_0 2)", count=2)
    place = tmp_path / "proof.npz"
    assert run(["verify", str(network), str(spec), "--proof", str(place)]) == 0
    assert "Sigmoid" in capsys.readouterr().err
    assert not place.exists()


def test_the_checker_rests_on_nothing_of_this_project():
    for path in Path(package.__file__).parent.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
            names += [node.module] if isinstance(node, ast.ImportFrom) else []
            for name in names:
                root = name.split(".")[0]
                assert root != "torch"
                assert root != "holdfast" or name.startswith("holdfast.certify.checker.")


def test_the_part_that_judges_stays_small():
    folder = Path(package.__file__).parent
    code = 0
    for name in ("bounds.py", "check.py", "form.py", "rounding.py"):
        text = (folder / name).read_text("utf-8")
        said = {
            line
            for node in ast.walk(ast.parse(text))
            if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef)
            and ast.get_docstring(node) is not None
            for line in range(node.body[0].lineno, node.body[0].end_lineno + 1)
        }
        lines = enumerate(text.splitlines(), 1)
        code += sum(bool(text.strip()) and i not in said for i, text in lines)
    assert code < 500  # without the readers of the two files
