"""What the recorder of networks says when it refuses, and what to use instead."""

from __future__ import annotations

from holdfast.core.errors import Unsupported


def unsupported(what: str, fix: str = "") -> Unsupported:
    """The refusal to read an operator."""
    known = (
        "Affine layers, convolutions, normalisation, pooling, the usual activations, products, "
        "attention and recurrent layers are read; put the certified part of the model into these."
    )
    return Unsupported(f"linear bounds cannot read {what}", fix=fix or known, code="E0310")


# What to use instead of an operator that cannot be read.
NEAREST = {
    "gt": "Use torch.relu, clamp or where with a constant condition instead of comparisons.",
    "lt": "Use torch.relu, clamp or where with a constant condition instead of comparisons.",
    "ge": "Use torch.relu, clamp or where with a constant condition instead of comparisons.",
    "le": "Use torch.relu, clamp or where with a constant condition instead of comparisons.",
    "round": "Use torch.floor(x + 0.5).",
    "ceil": "Use -torch.floor(-x).",
    "argmax": "Use softmax or amax.",
    "copy": "Build the tensor with torch.cat, stack or where instead of writing into it.",
    "index_put": "Build the tensor with torch.cat, stack or where instead of writing into it.",
    "topk": "Use amax, or sort.",
    "median": "Use a mean.",
    "cummax": "Use amax of slices.",
    "tan": "Use sin and cos.",
    "_cdist_forward": "Write the distance with differences, squares, sums and sqrt.",
    "_trilinear": "Write the bilinear form with torch.einsum of two inputs at a time.",
    "_fft_r2c": "Multiply by the matrix of the Fourier transform.",
    "_fft_c2c": "Multiply by the matrix of the Fourier transform.",
}
