"""Finds the kernel that computes attention on this machine, for the record."""

from collections.abc import Iterable

from gauss_vit.assembly.device import model_here
from gauss_vit.kernels.choice import choose
from gauss_vit.models.vit import ViTConfig


def note(models: Iterable[ViTConfig]) -> str:
    """Names the kernels that compute the attention of models, by the type of their activations."""
    here = [model_here(model) for model in models]
    named = {model.compute.dtype: choose(model.block().attention.shape(), model.compute.kernel) for model in here}
    return f"Attention by {', '.join(f'{name} in {dtype}' for dtype, name in named.items())}."
