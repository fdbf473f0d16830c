"""Names of the parameters of a UPerNet's head, which transformers and MMSegmentation call alike but for two words."""

import numpy as np

from gauss_vit.weights.names.naming import Rule, Tensor, Transform
from gauss_vit.weights.names.timm_names import normalization

_BLOCKS = {
    "decode_head.psp_modules.{index}.1": "head.pooling.{index}",
    "decode_head.bottleneck": "head.bottleneck",
    "decode_head.lateral_convs.{index}": "head.laterals.{index}",
    "decode_head.fpn_convs.{index}": "head.smoothing.{index}",
    "decode_head.fpn_bottleneck": "head.fusion",
    "auxiliary_head.convs.{index}": "head.auxiliary.convolutions.{index}",
}
_CLASSIFIERS = {"decode_head": "head.classifier", "auxiliary_head": "head.auxiliary.classifier"}


def head_rules(*, batch_norm: str, classifier: str) -> tuple[Rule, ...]:
    """Returns the names of the head and of its auxiliary head.

    The norms of the stages are the backbone's there.

    Args:
      batch_norm: Their name of the batch normalisation after a convolution.
      classifier: Their name of a classifier of pixels.
    """
    return (
        *(rule for theirs, ours in _BLOCKS.items() for rule in _block(theirs, ours, batch_norm=batch_norm)),
        *(rule for theirs, ours in _CLASSIFIERS.items() for rule in _classifier(f"{theirs}.{classifier}", ours)),
    )


def _block(theirs: str, ours: str, *, batch_norm: str) -> tuple[Rule, ...]:
    their_norm, our_norm = f"{theirs}.{batch_norm}", f"{ours}.batch_norm"
    return (
        Rule(theirs=f"{theirs}.conv.weight", ours=f"{ours}.convolution.kernel", transform=_KERNEL),
        *normalization(their_norm, our_norm),
        Rule(theirs=f"{their_norm}.running_mean", ours=f"{our_norm}.mean"),
        Rule(theirs=f"{their_norm}.running_var", ours=f"{our_norm}.variance"),
    )


def _classifier(theirs: str, ours: str) -> tuple[Rule, ...]:
    return (
        Rule(theirs=f"{theirs}.weight", ours=f"{ours}.kernel", transform=_KERNEL),
        Rule(theirs=f"{theirs}.bias", ours=f"{ours}.bias"),
    )


def _channels_last(array: Tensor) -> Tensor:
    return np.transpose(array, (2, 3, 1, 0))


def _channels_first(array: Tensor) -> Tensor:
    return np.transpose(array, (3, 2, 0, 1))


_KERNEL = Transform(to_ours=_channels_last, to_theirs=_channels_first)
"""Conversion of a convolution [outputs, inputs, height, width] to our [height, width, inputs, outputs]."""
