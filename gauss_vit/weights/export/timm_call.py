"""Finds the stock model of timm for a config: its name, the arguments that differ from it, and the call that makes it.

Source: the signatures of timm 1.0's `VisionTransformer`, `VisionTransformerRelPos`, `VisionTransformerDistilled`,
`Beit`, `Cait`, `SwinTransformer`, `SwinTransformerV2`, `SwinTransformerV2Cr` and `Xcit`.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType

from gauss_vit.config.schema import JsonValue
from gauss_vit.heads.distilled import DistilledHead
from gauss_vit.heads.linear import LinearHead
from gauss_vit.heads.network import HeadConfig
from gauss_vit.heads.stock import IMAGENET_CLASSES
from gauss_vit.models.backbone import BackboneConfig
from gauss_vit.models.pooling import Pool
from gauss_vit.models.presets import PRESETS, Preset
from gauss_vit.models.swin import SwinConfig
from gauss_vit.models.vit import ViTConfig
from gauss_vit.models.xcit import XCiTConfig
from gauss_vit.ops.grid import Grid
from gauss_vit.position.fourier import FourierEmbedding
from gauss_vit.position.position import Position
from gauss_vit.position.rotary_axial import AxialRotary
from gauss_vit.position.terms.relative import RelativeTable
from gauss_vit.position.terms.relative_mlp import RelativeMlp
from gauss_vit.weights.export.timm_eva import eva_arguments


@dataclass(frozen=True, kw_only=True)
class TimmModel:
    """A model of timm.

    Attributes:
      name: timm's name of the nearest model.
      arguments: Arguments in which it differs, for `timm.create_model`.
      norm_epsilon: Epsilon of its normalisation; None if it is the named model's. No JSON can hold it.
    """

    name: str
    arguments: Mapping[str, JsonValue]
    norm_epsilon: float | None

    @property
    def call(self) -> str:
        """Python expression that makes the model, without weights."""
        parts = [repr(self.name), *(f"{key}={value!r}" for key, value in self.arguments.items())]
        if self.norm_epsilon is not None:
            parts.append(f"norm_layer=functools.partial(torch.nn.LayerNorm, eps={self.norm_epsilon!r})")
        return f"timm.create_model({', '.join(parts)})"


def timm_model(config: BackboneConfig, head: HeadConfig) -> TimmModel | None:
    """Finds the model of timm that computes the same as a backbone without a Gaussian and its head.

    Returns:
      The preset of the same family that needs the fewest arguments; None if timm has no such model.
    """
    family = timm_family(config)
    if family is None or not isinstance(head, DistilledHead if family == "distilled" else LinearHead):
        return None
    presets = {name: preset for name, preset in PRESETS.items() if timm_family(preset) == family}
    models = [_from_preset(name, preset, config) for name, preset in presets.items()]
    nearest = min(models, key=lambda model: (len(model.arguments), model.norm_epsilon is not None))
    if head.num_classes == IMAGENET_CLASSES:
        return nearest
    return replace(nearest, arguments={**nearest.arguments, "num_classes": head.num_classes})


def timm_family(config: BackboneConfig) -> str | None:
    """Names the class of timm's models that a backbone belongs to; None for one that timm does not have."""
    match config:
        case ViTConfig():
            return next((family for family, belongs in _VIT_FAMILIES.items() if belongs(config)), None)
        case SwinConfig() if config.position.rotary is None:
            return next((family for family, belongs in _SWIN_FAMILIES.items() if belongs(config)), None)
        case XCiTConfig():
            is_stock = config.embedding == FourierEmbedding() and config.patch_size in ((16, 16), (8, 8))
            return "xcit" if is_stock else None
        case _:
            return None


def _from_preset(name: str, preset: Preset, config: BackboneConfig) -> TimmModel:
    given, wanted = _arguments(preset), _arguments(config)
    # The value of LayerScale comes with the weights; only whether there is one selects the model.
    if given.get("init_values") and wanted.get("init_values"):
        wanted["init_values"] = given["init_values"]
    epsilon = vars(config)["norm_epsilon"]
    return TimmModel(
        name=name,
        arguments={key: value for key, value in wanted.items() if given.get(key) != value},
        norm_epsilon=None if vars(preset)["norm_epsilon"] == epsilon else epsilon,
    )


def _is_plain(config: ViTConfig) -> bool:
    has_others = config.position.all_terms or _has_other_attention(config) or config.distillation_token
    return not has_others and config.block_norm == "before" and config.position.rotary is None


def _is_vit(config: ViTConfig) -> bool:
    return _is_plain(config) and config.mlp != "swiglu"


def _is_gated(config: ViTConfig) -> bool:
    # timm takes the class of the MLP as an argument, which no file can hold: the name has to bring it.
    return _is_plain(config) and config.mlp == "swiglu" and config.pool != "attention"


def _is_distilled(config: ViTConfig) -> bool:
    absolute = config.position.absolute
    is_stock = absolute is not None and absolute.embeds_prefix and _reads_token(config)
    is_stock = is_stock and config.position.rotary is None
    has_others = config.position.all_terms or _has_other_attention(config) or _has_other_parts(config)
    return is_stock and config.distillation_token and config.block_norm == "before" and not has_others


def _is_relpos(config: ViTConfig) -> bool:
    return _is_relative(config) and config.block_norm == "before"


def _is_relpos_normalised_after(config: ViTConfig) -> bool:
    return _is_relative(config) and config.block_norm == "after"


def _is_relative(config: ViTConfig) -> bool:
    match config.position.all_terms:
        case (RelativeTable() | RelativeMlp(mode="cr"),):
            has_others = _has_other_attention(config) or _has_other_parts(config) or config.pool == "attention"
            has_others = has_others or config.position.absolute is not None or config.position.rotary is not None
            return not (has_others or config.distillation_token)
        case _:
            return False


def _is_beit(config: ViTConfig) -> bool:
    match config.position:
        case Position(terms=(RelativeTable(),), shared=(), absolute=None, rotary=None):
            ends_alike = _reads_token(config) or (config.pool, config.norm) == ("mean", "after_pool")
            has_parts = config.class_token and config.layer_scale is not None and not config.distillation_token
            is_stock = has_parts and ends_alike and config.block_norm == "before" and not _has_other_parts(config)
            return config.biases == "query_value" and is_stock and not config.class_blocks
        case _:
            return False


def _is_cait(config: ViTConfig) -> bool:
    absolute = config.position.absolute
    is_stock = absolute is not None and not absolute.embeds_prefix and not config.position.all_terms
    is_stock = is_stock and config.block_norm == "before" and not _has_other_parts(config)
    is_stock = is_stock and config.position.rotary is None
    has_parts = config.mixes_heads and config.class_blocks > 0 and config.layer_scale is not None
    return is_stock and has_parts and _reads_token(config) and config.biases != "query_value"


def _is_eva(config: ViTConfig) -> bool:
    return _is_rotated(config) and config.layer_scale is None


def _is_eva_with_gains(config: ViTConfig) -> bool:
    # No argument of timm's takes LayerScale away from a model that has it.
    return _is_rotated(config) and config.layer_scale is not None


def _is_rotated(config: ViTConfig) -> bool:
    has_others = bool(config.position.all_terms) or config.input_norm or config.distillation_token or config.mixes_heads
    has_parts = config.mlp in ("gelu", "swiglu") and config.biases != "all" and config.pool != "attention"
    is_stock = has_parts and config.block_norm == "before" and not config.class_blocks
    return isinstance(config.position.rotary, AxialRotary) and is_stock and not has_others


def _reads_token(config: ViTConfig) -> bool:
    return (config.pool, config.norm) == ("token", "before_pool")


def _has_other_attention(config: ViTConfig) -> bool:
    """Returns whether attention is not that of timm's `VisionTransformer`."""
    return config.mixes_heads or config.class_blocks > 0 or config.biases == "query_value"


def _has_other_parts(config: ViTConfig) -> bool:
    """Returns whether there are parts that timm's older classes lack: registers, and other MLPs and input norms."""
    return config.register_tokens > 0 or config.input_norm or config.mlp != "gelu" or config.mlp_norm


def _is_swin(config: SwinConfig) -> bool:
    parts = _swin_parts(config)
    match config.position.terms:
        case (RelativeTable(),):
            return parts == ("fitted", "product", "all", "before", False)
        case _:
            return False


def _is_swin_v2(config: SwinConfig) -> bool:
    parts = _swin_parts(config)
    match config.position.terms:
        case (RelativeMlp(mode="swin", hidden=512, reference=None),):
            return parts == ("fitted", "cosine", "query_value", "after", False)
        case _:
            return False


def _is_swin_v2_cr(config: SwinConfig) -> bool:
    parts = _swin_parts(config)
    match config.position.terms:
        case (RelativeMlp(mode="cr", hidden=384),):
            return parts == ("fitted", "cosine", "all", "mixed", config.stage_norms)
        case _:
            return False


def _swin_parts(config: SwinConfig) -> tuple[str | bool, ...]:
    return config.windows, config.similarity, config.biases, config.norm, config.stage_norms


_VIT_FAMILIES: Mapping[str, Callable[[ViTConfig], bool]] = MappingProxyType(
    {
        "vit": _is_vit,
        "vit_swiglu": _is_gated,
        "distilled": _is_distilled,
        "relpos": _is_relpos,
        "relpos_rpn": _is_relpos_normalised_after,
        "beit": _is_beit,
        "cait": _is_cait,
        "eva": _is_eva,
        "eva_layer_scale": _is_eva_with_gains,
    }
)
_POOLS: Mapping[Pool, str] = MappingProxyType({"token": "token", "mean": "avg", "attention": "map"})
_SWIN_FAMILIES: Mapping[str, Callable[[SwinConfig], bool]] = MappingProxyType(
    {"swin": _is_swin, "swinv2": _is_swin_v2, "swinv2_cr": _is_swin_v2_cr}
)


def _arguments(config: BackboneConfig) -> dict[str, JsonValue]:
    """Returns the arguments of timm's constructor that make a backbone."""
    match config:
        case SwinConfig():
            return {
                **_sizes(config),
                "depths": list(config.depths),
                "num_heads": list(config.num_heads),
                **_windows(config),
            }
        case ViTConfig():
            sizes = {**_sizes(config), "depth": config.depth, "num_heads": config.num_heads}
            # timm drops arguments that are None; 0 has the same effect.
            return {**sizes, "init_values": config.layer_scale or 0.0, **_family_arguments(config)}
        case XCiTConfig():
            sizes = {**_sizes(config), "depth": config.depth, "num_heads": config.num_heads}
            return {**sizes, "cls_attn_layers": config.class_blocks}
        case _:
            return {}


def _windows(config: SwinConfig) -> dict[str, JsonValue]:
    """Returns the window, and what SwinV2-CR has besides; its windows are an eighth of the first map by default."""
    if timm_family(config) != "swinv2_cr":
        return {"window_size": _side(config.window)}
    rows, columns = config.embedded_grid(config.image_size)
    is_usual = config.window == (rows // 8, columns // 8)
    return {"window_size": None if is_usual else _side(config.window), "extra_norm_stage": config.stage_norms}


def _family_arguments(config: ViTConfig) -> dict[str, JsonValue]:
    bias: dict[str, JsonValue] = {"qkv_bias": config.biases == "all"}
    pool: dict[str, JsonValue] = {"global_pool": _POOLS[config.pool]}
    end: dict[str, JsonValue] = {"fc_norm": config.norm == "after_pool", "class_token": config.class_token}
    match timm_family(config):
        case "vit":
            return {**bias, **pool, **end, **_absolute(config), **_parts(config), "act_layer": config.mlp}
        case "vit_swiglu":
            # timm counts the channels of the gate, too.
            packed: dict[str, JsonValue] = {"mlp_ratio": 2 * config.mlp_ratio}
            return {**bias, **pool, **end, **_absolute(config), **_parts(config), **packed}
        case "relpos" | "relpos_rpn":
            return {**bias, **pool, **end, **_relative(config)}
        case "beit":
            return pool
        case "eva" | "eva_layer_scale":
            return {**pool, **eva_arguments(config)}
        case "cait":
            return {**bias, "depth_token_only": config.class_blocks, "mlp_ratio_token_only": config.mlp_ratio}
        case _:
            return bias


def _sizes(config: ViTConfig | SwinConfig | XCiTConfig) -> dict[str, JsonValue]:
    return {
        "img_size": _side(config.image_size),
        "patch_size": _side(config.patch_size),
        "embed_dim": config.width,
        "mlp_ratio": config.mlp_ratio,
    }


def _absolute(config: ViTConfig) -> dict[str, JsonValue]:
    absolute = config.position.absolute
    if absolute is None:
        return {"pos_embed": "none", "no_embed_class": False}
    return {"pos_embed": "learn", "no_embed_class": config.class_token and not absolute.embeds_prefix}


def _parts(config: ViTConfig) -> dict[str, JsonValue]:
    return {
        "reg_tokens": config.register_tokens,
        "pre_norm": config.input_norm,
        "scale_mlp_norm": config.mlp_norm,
    }


def _relative(config: ViTConfig) -> dict[str, JsonValue]:
    (term,) = config.position.all_terms
    shared: dict[str, JsonValue] = {"shared_rel_pos": bool(config.position.shared)}
    if isinstance(term, RelativeMlp):
        return {"rel_pos_type": "mlp", "rel_pos_dim": term.hidden, **shared}
    return {"rel_pos_type": "bias", **shared}


def _side(size: Grid) -> JsonValue:
    """Returns one number for a square."""
    return size[0] if size[0] == size[1] else list(size)
