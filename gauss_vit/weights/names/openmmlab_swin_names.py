"""Parameter names of Swin in MMSegmentation and MMDetection, as their models have them from versions 1.0 and 3.0 on.

Patch merging unfolds the four patches channel by channel there, so that the channels of its norm and of the inputs of
its reduction are in another order.
"""

import numpy as np

from gauss_vit.models.swin import SwinConfig
from gauss_vit.weights.names.naming import Rule, Tensor, Transform
from gauss_vit.weights.names.timm_names import dense, normalization, offset_table, patch_embedding

_ROW_MAJOR = np.array([0, 2, 1, 3])
"""Our patch at each of their places (row, column); ours go down the columns. The permutation is its own inverse."""


def swin_rules(config: SwinConfig) -> tuple[Rule, ...]:
    """Returns the names of a `SwinTransformer` that gives the maps of all stages, each with a norm of its own."""
    last = len(config.depths) - 1
    return (
        *patch_embedding("backbone.patch_embed.projection", config.patch_size),
        *normalization("backbone.patch_embed.norm", "backbone.patch_norm"),
        *(rule for index in range(len(config.depths)) for rule in _stage(config, index)),
        *normalization("backbone.norm{index}", "head.pyramid.norms.{index}"),
        *normalization(f"backbone.norm{last}", "backbone.norm"),
    )


def _stage(config: SwinConfig, index: int) -> tuple[Rule, ...]:
    theirs, ours = f"backbone.stages.{index}.blocks.{{layer}}", f"backbone.stages.{index}.blocks"
    merging, our_merging = f"backbone.stages.{index - 1}.downsample", f"backbone.stages.{index}.merging"
    attention, our_attention = f"{theirs}.attn.w_msa", f"{ours}.attention"
    return (
        Rule(theirs=f"{merging}.norm.weight", ours=f"{our_merging}.norm.scale", transform=_MERGED),
        Rule(theirs=f"{merging}.norm.bias", ours=f"{our_merging}.norm.bias", transform=_MERGED),
        Rule(theirs=f"{merging}.reduction.weight", ours=f"{our_merging}.reduction.kernel", transform=_MERGED),
        *normalization(f"{theirs}.norm1", f"{ours}.norm1"),
        *dense(f"{attention}.qkv", f"{our_attention}.query_key_value"),
        *dense(f"{attention}.proj", f"{our_attention}.projection"),
        Rule(
            theirs=f"{attention}.relative_position_bias_table",
            ours=f"{our_attention}.bias.relative.table",
            transform=offset_table(config.stage(index).block.attention.grid),
        ),
        *normalization(f"{theirs}.norm2", f"{ours}.norm2"),
        *dense(f"{theirs}.ffn.layers.0.0", f"{ours}.mlp.fc1"),
        *dense(f"{theirs}.ffn.layers.1", f"{ours}.mlp.fc2"),
    )


def _by_patch(array: Tensor) -> Tensor:
    """Converts [..., (channel patch)] to our [(patch channel), ...]."""
    by_channel = array.reshape(*array.shape[:-1], -1, 4)[..., _ROW_MAJOR]
    return np.moveaxis(by_channel, -1, -2).reshape(array.shape).T


def _by_channel(array: Tensor) -> Tensor:
    """The inverse of `_by_patch`."""
    theirs = array.T
    by_patch = theirs.reshape(*theirs.shape[:-1], 4, -1)[..., _ROW_MAJOR, :]
    return np.moveaxis(by_patch, -1, -2).reshape(theirs.shape)


_MERGED = Transform(to_ours=_by_patch, to_theirs=_by_channel)
