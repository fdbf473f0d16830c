"""Finds the kernels that compute attention on this machine, for the record."""

from collections.abc import Iterable

from gauss_vit.assembly.device import model_here
from gauss_vit.kernels.choice import choose
from gauss_vit.models.backbone import BackboneConfig


def note(models: Iterable[BackboneConfig]) -> str:
    """Names the kernels that compute the attention of models, by the type of their activations."""
    here = [model_here(model) for model in models]
    return f"Attention by {', '.join(f'{names(model)} in {model.compute.dtype}' for model in here)}."


def names(model: BackboneConfig) -> str:
    """Names the kernels that compute the attention of a model; one of windows may have another where they are shifted.

    Args:
      model: As the device of this process computes it.
    """
    kernels = [
        choose(stage.attention.shape(has_mask=has_mask), model.compute.kernel)
        for stage in model.stages()
        if stage.attention is not None
        for has_mask in ((False, True) if any(stage.shift) else (False,))
    ]
    return " and ".join(dict.fromkeys(kernels))
