"""timm's parameter names for XCiT."""

import numpy as np

from gauss_vit.models.xcit import XCiTConfig
from gauss_vit.weights.names.naming import CHANNELS_LAST, Rule, Tensor, Transform
from gauss_vit.weights.names.timm_names import class_attention, dense, normalization, trunk


def xcit_rules(config: XCiTConfig) -> tuple[Rule, ...]:
    """Returns the names of `xcit` for a config."""
    return (
        *(rule for index in range(len(config.stem_widths)) for rule in _stem_layer(index)),
        Rule(theirs="pos_embed.token_projection.weight", ours="backbone.position_projection.kernel", transform=_PIXEL),
        Rule(theirs="pos_embed.token_projection.bias", ours="backbone.position_projection.bias"),
        Rule(theirs="cls_token", ours="backbone.class_token"),
        *trunk("blocks", "backbone.blocks", gain="gamma{index}"),
        *_channel_block("blocks.{layer}", "backbone.blocks"),
        *trunk("cls_attn_blocks", "backbone.class_blocks", gain="gamma{index}"),
        *class_attention("cls_attn_blocks.{layer}.attn", "backbone.class_blocks"),
        *normalization("norm", "backbone.norm"),
        *dense("head", "head.linear"),
    )


def _stem_layer(index: int) -> tuple[Rule, ...]:
    """Returns the names of a convolution of the stem; activations count as modules there."""
    theirs, ours = f"patch_embed.proj.{2 * index}", f"backbone.stem.layers.{index}"
    return (
        Rule(theirs=f"{theirs}.0.weight", ours=f"{ours}.kernel", transform=CHANNELS_LAST),
        *_batch_norm(f"{theirs}.1", f"{ours}.batch_norm"),
    )


def _channel_block(theirs: str, ours: str) -> tuple[Rule, ...]:
    attention, our_attention = f"{theirs}.attn", f"{ours}.channel_attention"
    return (
        *dense(f"{attention}.qkv", f"{our_attention}.query_key_value"),
        *dense(f"{attention}.proj", f"{our_attention}.projection"),
        Rule(theirs=f"{attention}.temperature", ours=f"{our_attention}.temperature", transform=_PER_HEAD),
        *normalization(f"{theirs}.norm3", f"{ours}.norm_local"),
        *_channel_convolution(f"{theirs}.local_mp.conv1", f"{ours}.local.first"),
        *_batch_norm(f"{theirs}.local_mp.bn", f"{ours}.local.batch_norm"),
        *_channel_convolution(f"{theirs}.local_mp.conv2", f"{ours}.local.second"),
        Rule(theirs=f"{theirs}.gamma3", ours=f"{ours}.layer_scale_local"),
    )


def _channel_convolution(theirs: str, ours: str) -> tuple[Rule, ...]:
    return (
        Rule(theirs=f"{theirs}.weight", ours=f"{ours}.kernel", transform=_CHANNEL_KERNEL),
        Rule(theirs=f"{theirs}.bias", ours=f"{ours}.bias"),
    )


def _batch_norm(theirs: str, ours: str) -> tuple[Rule, ...]:
    return (
        *normalization(theirs, ours),
        Rule(theirs=f"{theirs}.running_mean", ours=f"{ours}.mean"),
        Rule(theirs=f"{theirs}.running_var", ours=f"{ours}.variance"),
    )


def _pixel_to_dense(array: Tensor) -> Tensor:
    return array.reshape(array.shape[:2]).T


def _dense_to_pixel(array: Tensor) -> Tensor:
    return array.T[:, :, None, None]


_PIXEL = Transform(to_ours=_pixel_to_dense, to_theirs=_dense_to_pixel)
"""Conversion of a convolution [outputs, inputs, 1, 1] to a dense layer [inputs, outputs]."""


def _channels_last(array: Tensor) -> Tensor:
    return np.transpose(array.reshape(array.shape[0], *array.shape[2:]), (1, 2, 0))


def _channels_first(array: Tensor) -> Tensor:
    return np.transpose(array, (2, 0, 1))[:, None]


_CHANNEL_KERNEL = Transform(to_ours=_channels_last, to_theirs=_channels_first)
"""Conversion of a convolution [channels, 1, height, width] to our [height, width, channels]."""


def _from_column(array: Tensor) -> Tensor:
    return array.reshape(array.shape[0])


def _to_column(array: Tensor) -> Tensor:
    return array[:, None, None]


_PER_HEAD = Transform(to_ours=_from_column, to_theirs=_to_column)
