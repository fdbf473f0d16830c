"""Which kernel computes attention on this machine, for the record."""

from collections.abc import Iterable

from gauss_vit.kernels.attention import settle
from gauss_vit.models.vit import ViTConfig


def note(models: Iterable[ViTConfig]) -> str:
    """Says in a sentence what computes the attention of models, by the type of their activations."""
    named = {model.compute.dtype: settle(model.block().attention.shape(), model.compute.kernel)[0] for model in models}
    return f"Attention by {', '.join(f'{name} in {dtype}' for dtype, name in named.items())}."
