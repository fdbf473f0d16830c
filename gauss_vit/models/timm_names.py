"""timm's parameter names for the models of this package."""

import numpy as np

from gauss_vit.models.naming import TRANSPOSED, Rule, Tensor, Transform
from gauss_vit.models.vit import ViTConfig
from gauss_vit.ops.grid import Grid, offset_shape


def vit_rules(config: ViTConfig) -> tuple[Rule, ...]:
    """Gives the names of `vision_transformer.py` and `vision_transformer_relpos.py` for a config.

    The Gaussian has no name there: it must be baked into a relative table first.
    """
    return (
        Rule(theirs="patch_embed.proj.weight", ours="patch_embed.kernel", transform=patch_kernel(config.patch_size)),
        Rule(theirs="patch_embed.proj.bias", ours="patch_embed.bias"),
        Rule(theirs="cls_token", ours="class_token"),
        Rule(theirs="pos_embed", ours="position_embed", transform=BATCH_OF_ONE),
        *_normalised("norm1"),
        *_normalised("norm2"),
        *_dense("attn.qkv", "attention.query_key_value"),
        *_dense("attn.proj", "attention.projection"),
        *_relative_mlp(),
        Rule(
            theirs="blocks.{layer}.attn.rel_pos.relative_position_bias_table",
            ours="blocks.attention.bias.relative.table",
            transform=offset_table(config.grid),
        ),
        *_dense("mlp.fc1", "mlp.fc1"),
        *_dense("mlp.fc2", "mlp.fc2"),
        Rule(theirs="blocks.{layer}.ls1.gamma", ours="blocks.layer_scale1"),
        Rule(theirs="blocks.{layer}.ls2.gamma", ours="blocks.layer_scale2"),
        Rule(theirs=f"{_final_norm(config)}.weight", ours="norm.scale"),
        Rule(theirs=f"{_final_norm(config)}.bias", ours="norm.bias"),
        Rule(theirs="head.weight", ours="head.kernel", transform=TRANSPOSED),
        Rule(theirs="head.bias", ours="head.bias"),
    )


def _final_norm(config: ViTConfig) -> str:
    return "norm" if config.norm == "before_pool" else "fc_norm"


def _normalised(name: str) -> tuple[Rule, ...]:
    return (
        Rule(theirs=f"blocks.{{layer}}.{name}.weight", ours=f"blocks.{name}.scale"),
        Rule(theirs=f"blocks.{{layer}}.{name}.bias", ours=f"blocks.{name}.bias"),
    )


def _dense(theirs: str, ours: str) -> tuple[Rule, ...]:
    return (
        Rule(theirs=f"blocks.{{layer}}.{theirs}.weight", ours=f"blocks.{ours}.kernel", transform=TRANSPOSED),
        Rule(theirs=f"blocks.{{layer}}.{theirs}.bias", ours=f"blocks.{ours}.bias"),
    )


def _relative_mlp() -> tuple[Rule, ...]:
    theirs, ours = "blocks.{layer}.attn.rel_pos.mlp", "blocks.attention.bias.relative_mlp"
    return (
        Rule(theirs=f"{theirs}.fc1.weight", ours=f"{ours}.fc1_kernel", transform=TRANSPOSED),
        Rule(theirs=f"{theirs}.fc1.bias", ours=f"{ours}.fc1_bias"),
        Rule(theirs=f"{theirs}.fc2.weight", ours=f"{ours}.fc2_kernel", transform=TRANSPOSED),
        Rule(theirs=f"{theirs}.fc2.bias", ours=f"{ours}.fc2_bias"),
    )


def _first(array: Tensor) -> Tensor:
    return array.reshape(array.shape[1:])


def _add_batch(array: Tensor) -> Tensor:
    return array[None]


BATCH_OF_ONE = Transform(to_ours=_first, to_theirs=_add_batch)
"""[1, tokens, channels] of theirs is [tokens, channels] of ours."""


def patch_kernel(patch_size: Grid) -> Transform:
    """Their convolution [outputs, 3, height, width] is our product over (row, column, channel)."""

    def to_ours(array: Tensor) -> Tensor:
        return np.transpose(array, (2, 3, 1, 0)).reshape(-1, array.shape[0])

    def to_theirs(array: Tensor) -> Tensor:
        return np.transpose(array.reshape(*patch_size, -1, array.shape[-1]), (3, 2, 0, 1))

    return Transform(to_ours=to_ours, to_theirs=to_theirs)


def offset_table(grid: Grid) -> Transform:
    """Their table [(2 height - 1) (2 width - 1), heads] is our [heads, 2 height - 1, 2 width - 1]."""

    def to_ours(array: Tensor) -> Tensor:
        return array.T.reshape(array.shape[-1], *offset_shape(grid))

    def to_theirs(array: Tensor) -> Tensor:
        return array.reshape(array.shape[0], -1).T

    return Transform(to_ours=to_ours, to_theirs=to_theirs)
