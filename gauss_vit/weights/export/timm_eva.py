"""The arguments of timm's `Eva`, the class of EVA-02 and DINOv3.

Source: the signature of timm 1.0.31's `Eva`.
"""

from gauss_vit.config.schema import JsonValue
from gauss_vit.models.vit import ViTConfig
from gauss_vit.position.rotary_axial import AxialRotary
from gauss_vit.weights.names.timm_names import has_gates_apart, has_projections_apart

_ALIGNMENT = 8
"""Multiple of hidden channels that makes gate and values separate layers, as in DINOv3."""


def eva_arguments(config: ViTConfig) -> dict[str, JsonValue]:
    """Returns the arguments that make a model with an axial rotary embedding, beside its sizes and its pooling."""
    absolute = config.position.absolute
    return {
        "qkv_bias": config.biases == "query_value",
        "qkv_fused": not has_projections_apart(config),
        "swiglu_mlp": config.mlp == "swiglu",
        "swiglu_align_to": _ALIGNMENT if has_gates_apart(config) and not config.mlp_norm else 0,
        "scale_mlp": config.mlp_norm,
        "use_fc_norm": config.norm == "after_pool",
        "class_token": config.class_token,
        "num_reg_tokens": config.register_tokens,
        "use_abs_pos_emb": absolute is not None,
        "no_embed_class": absolute is not None and not absolute.embeds_prefix,
        **_rotary(config),
    }


def _rotary(config: ViTConfig) -> dict[str, JsonValue]:
    rotary = config.position.rotary
    assert isinstance(rotary, AxialRotary), "others have no family"
    is_centered = rotary.coordinates == "centered"
    # Indices that are scaled to the grid itself are the indices: no argument takes a reference away.
    reference: dict[str, JsonValue] = {} if is_centered else {"ref_feat_shape": list(rotary.reference or config.grid)}
    return {
        "rope_type": "dinov3" if is_centered else "cat",
        "rope_temperature": rotary.base,
        "rope_grid_indexing": "ij" if rotary.order == "yx" else "xy",
        "rope_rotate_half": rotary.pairing == "half",
        **reference,
    }
