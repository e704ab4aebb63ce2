"""Classifiers of texts of transformers: texts, or ids with their mask, in; logits out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from holdfast.core.errors import ConfigError, UntrustedFile
from holdfast.readers.description import description
from holdfast.readers.hub import extra

LONGEST = 512  # tokens, where the folder does not say
_ODD = ("roberta", "camembert", "longformer", "mpnet")  # their positions begin behind the padding


class Tokenized(nn.Module):
    """A classifier behind its tokenizer.

    Args:
        inner: takes `input_ids` and `attention_mask`, answers `logits`.
        encode: texts -> ids and masks.
        contents: what the tokenizer is, so that another one is another model.
    """

    def __init__(self, inner: nn.Module, encode: Any, contents: str) -> None:
        super().__init__()
        self.inner, self.contents = inner, contents
        self._encode = [encode]  # in a list: it is no part of what the model has learned

    def forward(self, x: Sequence[str] | Mapping[str, Tensor]) -> Tensor:
        """Logits of texts, or of `{"ids", "mask"}`."""
        if isinstance(x, Mapping):
            ids, mask = x["ids"], x.get("mask")
        else:
            device = next(self.inner.parameters()).device
            found = self._encode[0].encode_batch([str(t) for t in x])
            ids = torch.tensor([e.ids for e in found], device=device).reshape(len(x), -1)
            mask = torch.tensor([e.attention_mask for e in found], device=device)
            mask = mask.reshape(len(x), -1)
        z: Tensor = self.inner(input_ids=ids, attention_mask=mask).logits
        return z


def encoder(folder: Path, told: Mapping[str, Any]) -> tuple[Any, str]:
    """The tokenizer of a folder, which pads and cuts, and its contents as a text.

    Raises:
        ConfigError: if there is no tokenizer.json.
        UntrustedFile: if it is damaged.
    """
    path = folder / "tokenizer.json"
    if not path.is_file():
        raise ConfigError(
            f"{folder.name} holds no tokenizer.json",
            fix="Save the tokenizer beside the model: tokenizer.save_pretrained(folder)",
            code="E0116",
        )
    try:
        made = extra("tokenizers").Tokenizer.from_file(str(path))
    except Exception as error:  # of Rust: it has a class of its own for nothing
        raise UntrustedFile(
            f"{folder.name}/tokenizer.json is damaged: {str(error)[:200]}",
            fix="Save it again: tokenizer.save_pretrained(folder)",
            code="E0411",
        ) from None
    pad = told.get("pad_token_id")
    made.enable_padding(pad_id=pad if isinstance(pad, int) else 0)
    made.enable_truncation(_longest(folder, told))
    return made, made.to_str()


def _longest(folder: Path, told: Mapping[str, Any]) -> int:
    """Tokens that the model has positions for."""
    own = description(folder / "tokenizer_config.json").get("model_max_length")
    places = told.get("max_position_embeddings")
    known: list[int] = [n for n in (own, places) if isinstance(n, int) and 2 < n < 1 << 20]
    if known and places == min(known) and any(k in str(told.get("model_type")) for k in _ODD):
        return min(known) - 2
    return min(known, default=LONGEST)
