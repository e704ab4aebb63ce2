"""Model folders of Hugging Face: `config.json` beside safetensors, without any code of theirs.

Classifiers of pictures and of texts are read, with gradients; the normalisation of the folder and
its tokenizer stand inside the model. Weights come from safetensors alone, Python files of the
folder are never run, and while a folder is read nothing is asked of the network.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from holdfast.core.errors import ConfigError, Unsupported, UntrustedFile
from holdfast.readers.archive import MAX_BYTES
from holdfast.readers.description import description
from holdfast.readers.hub import extra
from holdfast.readers.pictured import Pictured, normalisation
from holdfast.readers.tokenized import Tokenized, encoder
from holdfast.readers.weights import read_safetensors

KINDS = {
    "ForImageClassification": "AutoModelForImageClassification",
    "ForSequenceClassification": "AutoModelForSequenceClassification",
}
CONFIG, ONE, INDEX = "config.json", "model.safetensors", "model.safetensors.index.json"


def is_model_folder(path: Path) -> bool:
    """Whether a folder holds a model as transformers saves it."""
    return (path / CONFIG).is_file()


def read_model_folder(
    folder: Path, *, plain: bool = False, max_bytes: int = MAX_BYTES
) -> tuple[nn.Module, str]:
    """The classifier in a folder, and a sentence about how it was read.

    Args:
        folder: of `save_pretrained`, or a copy of a repository.
        plain: leave out the normalisation of the folder, because the user gives another one.
        max_bytes: largest size of the weights.

    Raises:
        ConfigError: if files are missing, or weights do not fit.
        MissingExtra: without transformers.
        Unsupported: for models that are no classifiers of pictures or texts.
        UntrustedFile: for models that bring code of their own, and damaged files.
    """
    told = description(folder / CONFIG)
    kind, made_by = _kind(told, folder.name)
    state = _weights(folder, max_bytes)
    transformers = extra("transformers")
    own = str(told.get("model_type", ""))
    if own not in transformers.CONFIG_MAPPING:
        brings = "auto_map" in told
        raise UntrustedFile(
            f"{folder.name} is a model of kind {own!r}, which transformers does not know"
            + (": it brings code of its own, which is never run" if brings else ""),
            fix="Name it from Python, if you trust it: file.py:function",
            code="E0402",
        )
    with _offline(transformers):
        inner = _built(transformers, folder, made_by, state)
    size = f"{sum(p.numel() for p in inner.parameters()):,} numbers"
    says = f"The folder was read by transformers {transformers.__version__} ({kind}, {size})"
    if kind.endswith("ForSequenceClassification"):
        return Tokenized(
            inner, *encoder(folder, told)
        ).eval(), f"{says}; texts are tokenized inside."
    mean, std = (None, None) if plain else normalisation(folder)
    norm = "normalised inside" if mean is not None else "not normalised"
    return Pictured(inner, told, mean, std).eval(), f"{says}; pictures are {norm}."


def _kind(told: Mapping[str, Any], name: str) -> tuple[str, str]:
    """The architecture, and the class of transformers that builds it."""
    names = told.get("architectures") or []
    for own in names if isinstance(names, list) else []:
        for ending, made_by in KINDS.items():
            if isinstance(own, str) and own.endswith(ending):
                return own, made_by
    raise Unsupported(
        f"{name} holds {names or 'a model without a head'}, no classifier of pictures or texts",
        fix="Name it from Python: file.py:function",
        code="E0302",
    )


def _weights(folder: Path, max_bytes: int) -> dict[str, Tensor]:
    """All tensors of a folder; an index may only name files beside it."""
    files = [ONE]
    if not (folder / ONE).is_file():
        found = description(folder / INDEX).get("weight_map")
        files = sorted({str(v) for v in found.values()}) if isinstance(found, dict) else []
    if any(Path(f).name != f or not f.endswith(".safetensors") for f in files):
        raise UntrustedFile(
            f"{folder.name}/{INDEX} names files outside its folder",
            fix="Save the model again: model.save_pretrained(folder)",
            code="E0411",
        )
    paths = [folder / f for f in files]
    if not paths or not all(p.is_file() for p in paths):
        raise ConfigError(
            f"{folder.name} holds no {files[0] if files else ONE}",
            fix="Save its weights as safetensors: model.save_pretrained(folder)",
            code="E0116",
        )
    if (size := sum(p.stat().st_size for p in paths)) > max_bytes:
        raise ConfigError(
            f"the weights in {folder.name} are larger than {max_bytes:,} bytes",
            fix=f"Raise --max-bytes to {size}.",
            code="E0135",
        )
    return {n: v for p in paths for n, v in read_safetensors(p, max_bytes).items()}


def _built(transformers: Any, folder: Path, made_by: str, state: dict[str, Tensor]) -> nn.Module:
    """The model of a description, with exactly these weights."""
    try:
        config = transformers.AutoConfig.from_pretrained(
            str(folder), local_files_only=True, trust_remote_code=False
        )
        kind = getattr(transformers, made_by)._model_mapping[type(config)]
        model, info = kind.from_pretrained(
            None, config=config, state_dict=state, output_loading_info=True,
            attn_implementation="eager", dtype="float32",
        )  # fmt: skip
    except Exception as error:
        raise ConfigError(
            f"{folder.name} cannot be built: {type(error).__name__}: {str(error).strip()[:300]}",
            fix="Check that transformers loads it in Python.",
            code="E0116",
        ) from error
    faults = [f"{w}: {', '.join(sorted(map(str, info[k]))[:3])}" for k, w in _FAULTS if info.get(k)]
    if faults:
        raise ConfigError(
            f"the weights in {folder.name} do not fit its config.json; {'; '.join(faults)}",
            fix="Save the fitted model again: model.save_pretrained(folder)",
            code="E0118",
        )
    found: nn.Module = model
    return found


_FAULTS = (
    ("missing_keys", "missing"), ("mismatched_keys", "shapes"), ("unexpected_keys", "unknown"),
)  # fmt: skip


@contextmanager
def _offline(transformers: Any) -> Iterator[None]:
    """Nothing is fetched, whatever a description asks for; nothing is printed."""
    constants = extra("huggingface_hub.constants")
    before, level = constants.HF_HUB_OFFLINE, transformers.logging.get_verbosity()
    constants.HF_HUB_OFFLINE = True
    transformers.logging.set_verbosity_error()
    try:
        yield
    finally:
        constants.HF_HUB_OFFLINE = before
        transformers.logging.set_verbosity(level)
