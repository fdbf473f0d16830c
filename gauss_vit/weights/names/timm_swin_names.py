"""timm's parameter names for Swin transformers."""

from gauss_vit.models.swin import SwinConfig
from gauss_vit.weights.names.naming import SAME, TRANSPOSED, Rule, Tensor, Transform
from gauss_vit.weights.names.timm_names import (
    dense,
    normalization,
    offset_table,
    patch_embedding,
    relative_mlp,
    trunk,
)


def swin_rules(config: SwinConfig) -> tuple[Rule, ...]:
    """Returns the names of `swin_transformer`, `swin_transformer_v2` or `swin_transformer_v2_cr` for a config.

    The Gaussian has no name in timm: it must be baked into a relative table first.
    """
    if config.norm == "mixed":
        return _cr_rules(config)
    return (
        *patch_embedding("patch_embed.proj", config.patch_size),
        *normalization("patch_embed.norm", "backbone.patch_norm"),
        *(rule for index in range(len(config.depths)) for rule in _stage(config, index)),
        *normalization("norm", "backbone.norm"),
        *dense("head.fc", "head.linear"),
    )


def _cr_rules(config: SwinConfig) -> tuple[Rule, ...]:
    """Returns the names of `swin_transformer_v2_cr`, where norms between stages are those of the blocks before them."""
    last = len(config.depths) - 1
    return (
        *patch_embedding("patch_embed.proj", config.patch_size),
        *normalization("patch_embed.norm", "backbone.patch_norm"),
        *(rule for index in range(len(config.depths)) for rule in _cr_stage(index)),
        *(
            rule
            for index in range(last)
            for rule in normalization(_end_of_stage(config, index), f"backbone.stages.{index + 1}.entry_norm")
        ),
        *normalization(_end_of_stage(config, last), "backbone.norm"),
        *dense("head.fc", "head.linear"),
    )


def _end_of_stage(config: SwinConfig, index: int) -> str:
    return f"stages.{index}.blocks.{config.depths[index] - 1}.norm3"


def _cr_stage(index: int) -> tuple[Rule, ...]:
    theirs, ours = f"stages.{index}", f"backbone.stages.{index}"
    return (
        *_blocks(theirs, ours, logit_scale=SAME),
        *relative_mlp(f"{theirs}.blocks.{{layer}}.attn.meta_mlp", f"{ours}.blocks.attention.bias.relative_mlp"),
    )


def _stage(config: SwinConfig, index: int) -> tuple[Rule, ...]:
    theirs, ours = f"layers.{index}", f"backbone.stages.{index}"
    attention = f"{theirs}.blocks.{{layer}}.attn"
    our_attention = f"{ours}.blocks.attention"
    return (
        *_blocks(theirs, ours, logit_scale=_PER_HEAD),
        Rule(theirs=f"{attention}.q_bias", ours=f"{our_attention}.query_bias"),
        Rule(theirs=f"{attention}.v_bias", ours=f"{our_attention}.value_bias"),
        Rule(
            theirs=f"{attention}.relative_position_bias_table",
            ours=f"{our_attention}.bias.relative.table",
            transform=offset_table(config.stage(index).block.attention.grid),
        ),
        *_continuous_bias(f"{attention}.cpb_mlp", f"{our_attention}.bias.relative_mlp"),
    )


def _blocks(theirs: str, ours: str, *, logit_scale: Transform) -> tuple[Rule, ...]:
    """Returns the names that the blocks and the patch merging of all versions have in common."""
    attention, our_attention = f"{theirs}.blocks.{{layer}}.attn", f"{ours}.blocks.attention"
    return (
        *normalization(f"{theirs}.downsample.norm", f"{ours}.merging.norm"),
        *dense(f"{theirs}.downsample.reduction", f"{ours}.merging.reduction"),
        *trunk(f"{theirs}.blocks", f"{ours}.blocks", gain="ls{index}.gamma"),
        *dense(f"{attention}.qkv", f"{our_attention}.query_key_value"),
        Rule(theirs=f"{attention}.logit_scale", ours=f"{our_attention}.logit_scale", transform=logit_scale),
        *dense(f"{attention}.proj", f"{our_attention}.projection"),
    )


def _continuous_bias(theirs: str, ours: str) -> tuple[Rule, ...]:
    return (
        Rule(theirs=f"{theirs}.0.weight", ours=f"{ours}.fc1_kernel", transform=TRANSPOSED),
        Rule(theirs=f"{theirs}.0.bias", ours=f"{ours}.fc1_bias"),
        Rule(theirs=f"{theirs}.2.weight", ours=f"{ours}.fc2_kernel", transform=TRANSPOSED),
    )


def _to_column(array: Tensor) -> Tensor:
    return array[:, None, None]


def _from_column(array: Tensor) -> Tensor:
    return array.reshape(array.shape[0])


_PER_HEAD = Transform(to_ours=_from_column, to_theirs=_to_column)
