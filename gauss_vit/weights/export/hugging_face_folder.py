"""The config.json and preprocessor_config.json of a folder that Hugging Face's `transformers` loads.

Source: transformers 5, `ViTConfig`, `DeiTConfig`, `SwinConfig`, `UperNetConfig` and their models and image processors.
"""

from collections.abc import Callable

from gauss_vit.config.schema import JsonValue
from gauss_vit.errors import ConfigError
from gauss_vit.heads.distilled import DistilledHead
from gauss_vit.heads.network import HeadConfig, NetworkConfig
from gauss_vit.heads.stock import StockHead
from gauss_vit.heads.upernet import UPerNetHead
from gauss_vit.models.backbone import BackboneConfig
from gauss_vit.models.swin import SwinConfig
from gauss_vit.models.vit import ViTConfig
from gauss_vit.ops.grid import Grid
from gauss_vit.weights.export.stock_upernet import check_has_upernet, transformers_upernet
from gauss_vit.weights.export.timm_call import timm_family
from gauss_vit.weights.file_metadata import Origin

_RESAMPLE = {"bilinear": 2, "bicubic": 3}
"""Filters by Pillow's numbers."""

_SWIN_EPSILON = 1e-5
"""Epsilon of the normalisations of Swin that no config of theirs sets."""


def check_has_counterpart(network: NetworkConfig) -> None:
    """Checks that a model of Hugging Face computes the same as a network without a Gaussian.

    Raises:
      ConfigError: none does.
    """
    if isinstance(network.head, UPerNetHead):
        check_has_upernet(network, "hugging_face")
        return
    obstacle = _obstacle(network)
    if obstacle:
        raise ConfigError(
            f"no ViT, DeiT or Swin of Hugging Face computes the same: {obstacle}", do="export with --to=timm"
        )


def auto_class(head: HeadConfig) -> str:
    """Returns the class of transformers that loads a folder of a network with a head."""
    return f"AutoModelFor{'SemanticSegmentation' if isinstance(head, UPerNetHead) else 'ImageClassification'}"


def hugging_face_config(network: NetworkConfig, origin: Origin) -> dict[str, JsonValue]:
    """Returns the content of config.json.

    Raises:
      ConfigError: no model of theirs computes the same.
    """
    check_has_counterpart(network)
    backbone, head = network.backbone, network.head
    num_classes = vars(head)["num_classes"]
    names = origin.class_names or tuple(f"LABEL_{index}" for index in range(num_classes))
    return {
        **_model(backbone, head),
        "id2label": {str(index): name for index, name in enumerate(names)},
        "label2id": {name: index for index, name in enumerate(names)},
        "dtype": "float32",
    }


def preprocessor_config(network: NetworkConfig, origin: Origin) -> dict[str, JsonValue]:
    """Returns the content of preprocessor_config.json.

    For a classifier: resize the shorter side, or both, crop the middle, normalise. For an image size that is not square
    the crop is resized to: their processors cannot scale to cover a rectangle. A UPerNet takes images of any size:
    normalise.
    """
    if isinstance(network.head, UPerNetHead):
        resizing = {"image_processor_type": "SegformerImageProcessor", "do_resize": False, "do_reduce_labels": False}
    else:
        resizing = _resize_and_crop(network.backbone.image_size, origin)
    return {
        **resizing,
        "do_rescale": True,
        "rescale_factor": 1 / 255,
        "do_normalize": True,
        "image_mean": list(origin.normalization.mean),
        "image_std": list(origin.normalization.std),
    }


def _resize_and_crop(image_size: Grid, origin: Origin) -> dict[str, JsonValue]:
    height, width = image_size
    crop: dict[str, JsonValue] = {"height": height, "width": width}
    larger_height, larger_width = int(height / origin.crop_fraction), int(width / origin.crop_fraction)
    resized: dict[str, JsonValue] = {"shortest_edge": larger_height} if height == width else crop
    if origin.stretches:
        resized = {"height": larger_height, "width": larger_width}
    return {
        "image_processor_type": "ViTImageProcessor",
        "do_resize": True,
        "size": resized,
        "resample": _RESAMPLE[origin.interpolation],
        "do_center_crop": True,
        "crop_size": crop,
    }


def _model(backbone: BackboneConfig, head: HeadConfig) -> dict[str, JsonValue]:
    """Returns the type and the sizes of the model."""
    if isinstance(head, UPerNetHead):
        assert isinstance(backbone, SwinConfig), "others have an obstacle"
        return transformers_upernet(backbone, head)
    assert isinstance(head, StockHead), "others have an obstacle"
    return {
        **(_swin(backbone) if isinstance(backbone, SwinConfig) else _vit(backbone, head)),
        "hidden_act": "gelu",
        "num_channels": 3,
        "image_size": _side(backbone.image_size),
    }


def _vit(config: BackboneConfig, head: StockHead) -> dict[str, JsonValue]:
    assert isinstance(config, ViTConfig), "other classes have an obstacle"
    kind, model = "vit", "ViTForImageClassification"
    if config.distillation_token:
        with_teacher = "WithTeacher" if isinstance(head, DistilledHead) else ""
        kind, model = "deit", f"DeiTForImageClassification{with_teacher}"
    return {
        "model_type": kind,
        "architectures": [model],
        "patch_size": _side(config.patch_size),
        "hidden_size": config.width,
        "num_hidden_layers": config.depth,
        "num_attention_heads": config.num_heads,
        "intermediate_size": int(config.width * config.mlp_ratio),
        "layer_norm_eps": config.norm_epsilon,
        "qkv_bias": config.biases == "all",
        "hidden_dropout_prob": 0.0,
        "attention_probs_dropout_prob": 0.0,
    }


def _swin(config: SwinConfig) -> dict[str, JsonValue]:
    return {
        "model_type": "swin",
        "architectures": ["SwinForImageClassification"],
        "patch_size": _side(config.patch_size),
        "embed_dim": config.width,
        "depths": list(config.depths),
        "num_heads": list(config.num_heads),
        "window_size": config.window[0],
        "mlp_ratio": config.mlp_ratio,
        "layer_norm_eps": config.norm_epsilon,
        "qkv_bias": True,
        "use_absolute_embeddings": False,
        "hidden_dropout_prob": 0.0,
        "attention_probs_dropout_prob": 0.0,
    }


def _obstacle(network: NetworkConfig) -> str:
    """Says why no model of theirs computes the same; empty if one does."""
    config = network.backbone
    if not isinstance(network.head, StockHead):
        return "its head is not a classifier"
    if isinstance(config, ViTConfig):
        return _first_true(config, _VIT_OBSTACLES)
    if isinstance(config, SwinConfig):
        return _first_true(config, _SWIN_OBSTACLES)
    return f"a {type(config).__name__} is of this program alone"


_Config = ViTConfig | SwinConfig


def _first_true(config: _Config, obstacles: dict[str, Callable[[_Config], bool]]) -> str:
    return next((reason for reason, is_true in obstacles.items() if is_true(config)), "")


def _is_unlike_vit(config: _Config) -> bool:
    return timm_family(config) not in ("vit", "distilled") or not vars(config)["class_token"]


def _has_other_parts(config: _Config) -> bool:
    fields = vars(config)
    return fields["register_tokens"] > 0 or fields["input_norm"] or fields["mlp"] != "gelu" or fields["mlp_norm"]


def _lacks_prefix_positions(config: _Config) -> bool:
    absolute = config.position.absolute
    return absolute is None or not absolute.embeds_prefix


_VIT_OBSTACLES: dict[str, Callable[[_Config], bool]] = {
    "it has position biases": lambda config: bool(config.position.all_terms),
    "it is not a plain transformer with a class token": _is_unlike_vit,
    "it has register tokens, a norm of its input, or another MLP": _has_other_parts,
    "its head does not read the normalised class token": lambda config: (
        (vars(config)["pool"], config.norm) != ("token", "before_pool")
    ),
    "it has LayerScale": lambda config: vars(config)["layer_scale"] is not None,
    "its prefix tokens have no positions": _lacks_prefix_positions,
}


def _has_other_windows(config: _Config) -> bool:
    """Returns whether a map is not tiled by square windows, which the two programs pad differently."""
    stages = config.stages()
    sides = {side for stage in stages for side in stage.window}
    tiled = all(length % side == 0 for stage in stages for length, side in zip(stage.grid, stage.window, strict=True))
    return len(sides) != 1 or not tiled or sides != set(vars(config)["window"])


_SWIN_OBSTACLES: dict[str, Callable[[_Config], bool]] = {
    "it is not a Swin with tables": lambda config: timm_family(config) != "swin",
    "its LayerNorm epsilon is not 1e-05": lambda config: config.norm_epsilon != _SWIN_EPSILON,
    "its windows do not tile the maps": _has_other_windows,
}


def _side(size: Grid) -> JsonValue:
    """Returns one number for a square."""
    return size[0] if size[0] == size[1] else list(size)
