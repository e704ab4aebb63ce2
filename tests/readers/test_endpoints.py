"""Prediction endpoints: what is sent, what is believed, and what is refused."""

from __future__ import annotations

import contextlib
import socket
import time

import pytest
import torch
from tests.readers.servers import served

from holdfast.core.errors import HoldfastError
from holdfast.readers import endpoint, read_model
from holdfast.readers.address import address_of

W = torch.tensor([[1.0, -1.0], [0.5, 2.0], [-3.0, 0.25]])
X = torch.rand(150, 2, generator=torch.Generator().manual_seed(0))


@pytest.fixture(autouse=True)
def impatient(monkeypatch):
    monkeypatch.setattr(endpoint, "PAUSES", (0.01, 0.01))
    monkeypatch.setattr(endpoint, "TIMEOUT", 5.0)


def logits(rows, handler):
    return {"logits": (torch.tensor(rows) @ W.T).tolist()}


def code_of(spec, **more) -> str:
    with pytest.raises(HoldfastError) as caught:
        read_model(spec, **more)
    assert caught.value.says and caught.value.fix
    return caught.value.code


def test_answers_are_those_of_the_model_bit_by_bit():
    with served(logits) as (url, seen):
        read = read_model(url, shape=(2,))
        assert read.about["kind"] == "endpoint" and "8 fixed rows" in read.about["reading"]
        assert read.about["name"] == url.removeprefix("http://")
        seen.clear()
        assert torch.equal(read(X), X @ W.T) and [len(s) for s in seen] == [64, 64, 22]
        assert torch.equal(torch.tensor([row for part in seen for row in part]), X), (
            "every bit of a row arrives"
        )
        assert read(X[:0]).shape == (0, 3) and not read(X.requires_grad_()).requires_grad


def test_probabilities_become_logarithms_and_texts_go_as_they_are():
    def answer(rows, handler):
        return {"probabilities": [[1.0, 0.0] if "not" in r else [0.25, 0.75] for r in rows]}

    with served(answer) as (url, seen):
        read = read_model(url)
        z = read(["not good", "good"])
        assert torch.allclose(z.softmax(1), torch.tensor([[1, 0], [0.25, 0.75]])) and bool(
            z.isfinite().all()
        )
        assert seen[-1] == ["not good", "good"]


def test_another_model_at_the_address_is_another_subject():
    shift = [0.0]

    def answer(rows, handler):
        return {"logits": (torch.tensor(rows) @ W.T + torch.tensor([shift[0], 0, 0])).tolist()}

    with served(answer) as (url, _):
        first = read_model(url, shape=(2,)).about["digest"]
        assert read_model(url, shape=(2,)).about["digest"] == first
        shift[0] = 0.2
        assert read_model(url, shape=(2,)).about["digest"] != first


def test_a_passing_fault_is_asked_again_and_a_lasting_one_is_not():
    faults = [(503, b"busy"), (429, b"slow down")]

    def answer(rows, handler):
        return faults.pop() if faults else logits(rows, handler)

    with served(answer) as (url, seen):
        read_model(url, shape=(2,), trial=False)
        assert len(seen) == 3
    for status, times in ((503, 3), (404, 1), (422, 1)):
        with served(lambda rows, handler, s=status: (s, b"what it says")) as (url, seen):
            with pytest.raises(HoldfastError, match="what it says") as caught:
                read_model(url, shape=(2,))
            assert caught.value.code == "E0164" and len(seen) == times


def test_redirects_are_refused_and_nobody_else_is_asked():
    with served(logits) as (other, asked):

        def away(rows, handler):
            handler.send_response(307)
            handler.send_header("Location", other)
            handler.send_header("Content-Length", "0")
            handler.end_headers()

        with served(away) as (url, seen):
            assert code_of(url, shape=(2,)) == "E0164"
            assert len(seen) == 1 and not asked


def test_proxies_of_the_environment_are_not_asked(monkeypatch):
    with served(logits) as (proxy, asked), served(logits) as (url, _):
        for name in ("http_proxy", "HTTP_PROXY", "all_proxy"):
            monkeypatch.setenv(name, proxy)
        read_model(url, shape=(2,))
        assert not asked


@pytest.mark.parametrize(
    "body",
    [
        b"no json", b"[]", b"3", b"{}", {"logits": []}, {"logits": 3}, {"logits": [[1, 2]]},
        {"logits": [[1, 2]] * 7 + [[1]]}, {"logits": [["a", "b"]] * 8}, {"logits": [[]] * 8},
        {"logits": [[None, 1]] * 8 + [[1, 2]]}, {"probabilities": [[0.5, 0.6]] * 8},
        {"probabilities": [[1.5, -0.5]] * 8}, b"[" * 200_000,
        b'{"logits": [[' + b"9" * 9999 + b"]]}",
        b"\xff\xfe", {"logits": [[[1.0]]] * 8},
    ],
    ids=lambda b: str(b)[:30],
)  # fmt: skip
def test_answers_of_another_form_are_refused(body):
    with served(lambda rows, handler: body) as (url, _):
        assert code_of(url, shape=(2,)) == "E0165"


def test_what_is_no_number_stays_none_and_is_a_fault_of_the_model():
    with served(lambda rows, handler: {"logits": [[float("nan"), 1.0]] * len(rows)}) as (url, _):
        z = read_model(url, shape=(2,))(X[:3])
        assert bool(z[:, 0].isnan().all())
        with pytest.raises(HoldfastError, match="NaN") as caught:
            read_model(url, shape=(2,))(torch.tensor([[float("nan"), 0.0]]))
        assert caught.value.code == "E0200"


def test_the_number_of_classes_may_not_change():
    with served(lambda rows, handler: {"logits": [[0.0] * (2 + len(rows) % 2)] * len(rows)}) as (
        url,
        _,
    ):
        read = read_model(url, shape=(2,))
        with pytest.raises(HoldfastError, match="classes"):
            read(X[:1])


def test_a_host_that_drips_or_never_ends_is_left(monkeypatch):
    monkeypatch.setattr(endpoint, "TIMEOUT", 0.3)
    monkeypatch.setattr(endpoint, "PAUSES", ())

    def drip(rows, handler):
        handler.send_response(200)
        handler.end_headers()
        with contextlib.suppress(OSError):
            for _ in range(200):
                handler.wfile.write(b" ")
                handler.wfile.flush()
                time.sleep(0.05)

    def headers(rows, handler):
        with contextlib.suppress(OSError):
            handler.wfile.write(b"HTTP/1.1 200 OK\r\n")
            for k in range(90):
                handler.wfile.write(f"X-{k}: a\r\n".encode())
                handler.wfile.flush()
                time.sleep(0.05)

    for answer in (drip, headers):
        with served(answer) as (url, _):
            begun = time.monotonic()
            assert code_of(url, shape=(2,)) == "E0164"
            assert time.monotonic() - begun < 4, "it does not wait for the last byte"


def test_answers_beyond_the_limit_are_not_kept(monkeypatch):
    from holdfast.readers import address

    monkeypatch.setattr(address, "MOST", 1000)
    with served(lambda rows, handler: b" " * 2000) as (url, seen):
        assert code_of(url, shape=(2,)) == "E0164" and len(seen) == 1


def test_nobody_there_is_said():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    assert code_of(f"http://127.0.0.1:{port}/", shape=(2,)) == "E0164"


@pytest.mark.parametrize(
    "url",
    [
        "http://", "http://user:word@host/", "http://host:99999/", "http://[::1/", "https://h/#a",
        "http://host/a b", "http://h/\r\nX: 1", "http:///predict", "http://höst/",
    ],
)  # fmt: skip
def test_addresses_that_cannot_be_asked_are_refused(url):
    assert code_of(url, shape=(2,)) == "E0163"


def test_the_name_of_an_address_leaves_the_query_out():
    there = address_of("https://models.example.org/v1/predict?key=secret")
    assert there.name == "models.example.org:443/v1/predict" and there.secure
    assert there.path == "/v1/predict?key=secret"
