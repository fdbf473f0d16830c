"""timm's parameter names for vision transformers."""

import numpy as np

from gauss_vit.models.vit import ViTConfig
from gauss_vit.ops.grid import Grid, offset_shape
from gauss_vit.weights.names.naming import SAME, TRANSPOSED, Rule, Tensor, Transform


def vit_rules(config: ViTConfig) -> tuple[Rule, ...]:
    """Returns the names of `vision_transformer`, `vision_transformer_relpos`, `beit`, `cait` or `eva` for a config.

    The Gaussian has no name in timm: it must be baked into a relative table first.
    """
    return (
        *patch_embedding("patch_embed.proj", config.patch_size),
        Rule(theirs="cls_token", ours="backbone.class_token"),
        Rule(theirs="dist_token", ours="backbone.distillation_token"),
        Rule(theirs="reg_token", ours="backbone.register_tokens"),
        Rule(theirs="pos_embed", ours="backbone.position_embed", transform=BATCH_OF_ONE),
        *normalization("norm_pre", "backbone.input_norm"),
        *_attention(config),
        *_gates(config),
        *trunk("blocks", "backbone.blocks", gain=_gain_name(config)),
        *class_attention("blocks_token_only.{layer}.attn", "backbone.class_blocks"),
        *trunk("blocks_token_only", "backbone.class_blocks", gain=_gain_name(config)),
        *normalization(_final_norm(config), "backbone.norm"),
        *_attention_pool(),
        *dense("head", "head.linear"),
        *dense("head", "head.class_linear"),
        *dense("head_dist", "head.distillation_linear"),
    )


def patch_embedding(theirs: str, patch_size: Grid) -> tuple[Rule, ...]:
    """Returns the names of the patch embedding, a convolution of theirs."""
    return (
        Rule(theirs=f"{theirs}.weight", ours="backbone.patch_embed.kernel", transform=patch_kernel(patch_size)),
        Rule(theirs=f"{theirs}.bias", ours="backbone.patch_embed.bias"),
    )


def _final_norm(config: ViTConfig) -> str:
    return "norm" if config.norm == "before_pool" else "fc_norm"


def _gain_name(config: ViTConfig) -> str:
    """Returns the template of LayerScale's name: `ls1.gamma` in most models, `gamma_1` in BEiT, CaiT and EVA."""
    has_gammas = config.biases == "query_value" or config.class_blocks or config.position.rotary is not None
    return "gamma_{index}" if has_gammas else "ls{index}.gamma"


def has_projections_apart(config: ViTConfig) -> bool:
    """Returns whether query, key and value are separate tensors: in `eva`, those with a norm in the MLP."""
    return config.position.rotary is not None and config.mlp_norm and config.biases == "query_value"


def has_gates_apart(config: ViTConfig) -> bool:
    """Returns whether the gate and the values of an MLP are separate tensors: in `eva`, EVA-02 base and DINOv3."""
    is_eva = config.position.rotary is not None and config.mlp == "swiglu"
    return is_eva and (config.mlp_norm or config.position.absolute is None)


def dense(theirs: str, ours: str) -> tuple[Rule, ...]:
    """Returns the names of a dense layer's kernel and bias."""
    return (
        Rule(theirs=f"{theirs}.weight", ours=f"{ours}.kernel", transform=TRANSPOSED),
        Rule(theirs=f"{theirs}.bias", ours=f"{ours}.bias"),
    )


def normalization(theirs: str, ours: str) -> tuple[Rule, ...]:
    """Returns the names of a normalisation's scale and bias."""
    return (
        Rule(theirs=f"{theirs}.weight", ours=f"{ours}.scale"),
        Rule(theirs=f"{theirs}.bias", ours=f"{ours}.bias"),
    )


def trunk(theirs: str, ours: str, *, gain: str) -> tuple[Rule, ...]:
    """Returns the names that blocks of patches and blocks of the class token have in common."""
    block = f"{theirs}.{{layer}}"
    return (
        *normalization(f"{block}.norm1", f"{ours}.norm1"),
        *normalization(f"{block}.norm2", f"{ours}.norm2"),
        *mlp(f"{block}.mlp", f"{ours}.mlp"),
        Rule(theirs=f"{block}.{gain.format(index=1)}", ours=f"{ours}.layer_scale1"),
        Rule(theirs=f"{block}.{gain.format(index=2)}", ours=f"{ours}.layer_scale2"),
    )


def mlp(theirs: str, ours: str) -> tuple[Rule, ...]:
    """Returns the names of an MLP."""
    return (
        *dense(f"{theirs}.fc1", f"{ours}.fc1"),
        *normalization(f"{theirs}.norm", f"{ours}.norm"),
        *dense(f"{theirs}.fc2", f"{ours}.fc2"),
    )


def _attention(config: ViTConfig) -> tuple[Rule, ...]:
    theirs, ours = "blocks.{layer}.attn", "backbone.blocks.attention"
    return (
        *(_projections_apart(theirs, ours) if has_projections_apart(config) else _projections(theirs, ours)),
        *dense(f"{theirs}.proj", f"{ours}.projection"),
        *dense(f"{theirs}.proj_l", f"{ours}.logits_mixing"),
        *dense(f"{theirs}.proj_w", f"{ours}.weights_mixing"),
        *relative_mlp(f"{theirs}.rel_pos.mlp", f"{ours}.bias.relative_mlp"),
        *relative_mlp("shared_rel_pos.mlp", "backbone.shared_bias.relative_mlp"),
        Rule(
            theirs=f"{theirs}.rel_pos.relative_position_bias_table",
            ours=f"{ours}.bias.relative.table",
            transform=offset_table(config.grid),
        ),
        Rule(
            theirs="shared_rel_pos.relative_position_bias_table",
            ours="backbone.shared_bias.relative.table",
            transform=offset_table(config.grid),
        ),
        Rule(
            theirs=f"{theirs}.relative_position_bias_table",
            ours=f"{ours}.bias.relative.table_and_prefix",
            transform=TRANSPOSED,
        ),
    )


def _projections(theirs: str, ours: str) -> tuple[Rule, ...]:
    return (
        *dense(f"{theirs}.qkv", f"{ours}.query_key_value"),
        Rule(theirs=f"{theirs}.q_bias", ours=f"{ours}.query_bias"),
        Rule(theirs=f"{theirs}.v_bias", ours=f"{ours}.value_bias"),
    )


def _projections_apart(theirs: str, ours: str) -> tuple[Rule, ...]:
    return (
        *(
            Rule(
                theirs=f"{theirs}.{name}_proj.weight",
                ours=f"{ours}.query_key_value.kernel",
                transform=TRANSPOSED,
                part=(index, 3),
            )
            for index, name in enumerate("qkv")
        ),
        Rule(theirs=f"{theirs}.q_proj.bias", ours=f"{ours}.query_bias"),
        Rule(theirs=f"{theirs}.v_proj.bias", ours=f"{ours}.value_bias"),
    )


def _gates(config: ViTConfig) -> tuple[Rule, ...]:
    """Returns the names of the first layer of gated MLPs, where it is two layers of theirs."""
    if not has_gates_apart(config):
        return ()
    return tuple(
        Rule(
            theirs=f"blocks.{{layer}}.mlp.{name}.{their_leaf}",
            ours=f"backbone.blocks.mlp.fc1.{our_leaf}",
            transform=transform,
            part=(index, 2),
        )
        for index, name in enumerate(("fc1_g", "fc1_x"))
        for their_leaf, our_leaf, transform in (("weight", "kernel", TRANSPOSED), ("bias", "bias", SAME))
    )


def relative_mlp(theirs: str, ours: str) -> tuple[Rule, ...]:
    """Returns the names of both layers of a `RelativeMlp` of mode "cr"."""
    return tuple(
        rule
        for layer in ("fc1", "fc2")
        for rule in (
            Rule(theirs=f"{theirs}.{layer}.weight", ours=f"{ours}.{layer}_kernel", transform=TRANSPOSED),
            Rule(theirs=f"{theirs}.{layer}.bias", ours=f"{ours}.{layer}_bias"),
        )
    )


def class_attention(theirs: str, ours: str) -> tuple[Rule, ...]:
    """Returns the names of the attention of a block of the class token."""
    return (
        *dense(f"{theirs}.q", f"{ours}.query"),
        *dense(f"{theirs}.k", f"{ours}.key"),
        *dense(f"{theirs}.v", f"{ours}.value"),
        *dense(f"{theirs}.proj", f"{ours}.projection"),
    )


def _attention_pool() -> tuple[Rule, ...]:
    theirs, ours = "attn_pool", "backbone.attention_pool"
    return (
        Rule(theirs=f"{theirs}.latent", ours=f"{ours}.latent"),
        *dense(f"{theirs}.q", f"{ours}.query"),
        *dense(f"{theirs}.kv", f"{ours}.key_value"),
        *dense(f"{theirs}.proj", f"{ours}.projection"),
        *normalization(f"{theirs}.norm", f"{ours}.norm"),
        *mlp(f"{theirs}.mlp", f"{ours}.mlp"),
    )


def _first(array: Tensor) -> Tensor:
    return array.reshape(array.shape[1:])


def _add_batch(array: Tensor) -> Tensor:
    return array[None]


BATCH_OF_ONE = Transform(to_ours=_first, to_theirs=_add_batch)
"""Conversion of their [1, tokens, channels] to our [tokens, channels]."""


def patch_kernel(patch_size: Grid) -> Transform:
    """Returns the conversion of a convolution [outputs, 3, height, width] to our kernel [height width 3, outputs]."""

    def to_ours(array: Tensor) -> Tensor:
        return np.transpose(array, (2, 3, 1, 0)).reshape(-1, array.shape[0])

    def to_theirs(array: Tensor) -> Tensor:
        return np.transpose(array.reshape(*patch_size, -1, array.shape[-1]), (3, 2, 0, 1))

    return Transform(to_ours=to_ours, to_theirs=to_theirs)


def offset_table(grid: Grid) -> Transform:
    """Returns the conversion of a table [(2 height - 1) (2 width - 1), heads] to [heads, 2 height - 1, 2 width - 1]."""

    def to_ours(array: Tensor) -> Tensor:
        return array.T.reshape(array.shape[-1], *offset_shape(grid))

    def to_theirs(array: Tensor) -> Tensor:
        return array.reshape(array.shape[0], -1).T

    return Transform(to_ours=to_ours, to_theirs=to_theirs)
