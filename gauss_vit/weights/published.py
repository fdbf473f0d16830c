"""Folders of published weights: model.safetensors with the config.json of timm or Hugging Face beside it.

Only numbers and names are read from the JSON files, and each is checked; what is missing or nonsense is unknown.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from gauss_vit.config.schema import JsonValue
from gauss_vit.errors import CheckpointError
from gauss_vit.files import read_json
from gauss_vit.models.presets import PRESETS
from gauss_vit.ops.pixel_normalization import Normalization
from gauss_vit.weights.file_metadata import class_names_of
from gauss_vit.weights.names.naming import shown_name
from gauss_vit.weights.safetensors_file import CODE, open_weights

Interpolation = Literal["bicubic", "bilinear"]

WEIGHTS = "model.safetensors"
"""Name of the weights in a folder."""

_PICKLE = "pytorch_model.bin"
_INTERPOLATIONS: dict[str | int, Interpolation] = {
    "bicubic": "bicubic",
    "bilinear": "bilinear",
    2: "bilinear",
    3: "bicubic",
}
_ACTIVATIONS: dict[str, str] = {"gelu_python": "gelu", "gelu_new": "gelu_tanh", "gelu_pytorch_tanh": "gelu_tanh"}
"""Our names of nonlinearities, by those of Hugging Face that differ; timm's are ours."""
_CROP_MODES: dict[str, bool] = {"center": False, "border": False, "squash": True}
"""Whether images are stretched, by timm's names."""


@dataclass(frozen=True, kw_only=True)
class Published:
    """What is said of weights beside them; every part may be unknown.

    Attributes:
      path: File of the weights.
      norm_epsilon: Epsilon of the normalisations.
      class_names: Names of the classes in the order of the outputs; empty if they are unknown.
      num_classes: Number of classes.
      normalization: Normalisation of the images' bytes.
      crop_fraction: Size of the central crop as a fraction of the resized image.
      interpolation: Filter of the resizing: "bicubic" or "bilinear".
      stretches: Whether each side of an image is resized on its own; None if it is unknown.
      num_heads: Number of attention heads, of every stage for Swin.
      activation: Nonlinearity of the MLP, one of ours or any other name.
      upernet: Content of the config.json of a UPerNet of Hugging Face; empty for any other model.
    """

    path: Path
    norm_epsilon: float | None = None
    class_names: tuple[str, ...] = ()
    num_classes: int | None = None
    normalization: Normalization | None = None
    crop_fraction: float | None = None
    interpolation: Interpolation | None = None
    stretches: bool | None = None
    num_heads: int | tuple[int, ...] | None = None
    activation: str | None = None
    upernet: Mapping[str, JsonValue] = field(default_factory=dict)


def published(path: Path) -> Published:
    """Reads what a folder, or the folder of a file, says of its weights.

    Args:
      path: Path of the weights: a .safetensors file, or a folder with model.safetensors.

    Raises:
      CheckpointError: the folder has no weights, or the file is refused.
    """
    weights = _weights_in(path) if path.is_dir() else path
    names = class_names_of(open_weights(weights).metadata)
    config = _read(weights.with_name("config.json"))
    if "pretrained_cfg" in config:
        return _timm(weights, config, names)
    if "model_type" in config:
        return _hugging_face(weights, config, _read(weights.with_name("preprocessor_config.json")))
    return Published(path=weights, class_names=names, num_classes=len(names) or None)


def _weights_in(folder: Path) -> Path:
    found = next((folder / name for name in (WEIGHTS, _PICKLE) if (folder / name).is_file()), None)
    if found is None:
        raise CheckpointError(
            f"the folder {shown_name(str(folder))} has no model.safetensors", code=CODE, do="correct --weights"
        )
    return found


def _read(path: Path) -> dict[str, JsonValue]:
    """Reads a JSON object; a missing or unreadable file has nothing to say."""
    try:
        content = read_json(path)
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def _timm(weights: Path, config: dict[str, JsonValue], names: tuple[str, ...]) -> Published:
    inner = config["pretrained_cfg"]
    images = inner if isinstance(inner, dict) else {}
    labels = _texts(config.get("label_names")) or names
    num_classes = _count(config.get("num_classes", images.get("num_classes")))
    num_heads, activation = _timm_attention(config)
    return Published(
        path=weights,
        class_names=labels if len(labels) == num_classes else (),
        num_classes=num_classes,
        normalization=_normalization(images.get("mean"), images.get("std")),
        crop_fraction=_fraction(images.get("crop_pct")),
        interpolation=_interpolation(images.get("interpolation")),
        stretches=_CROP_MODES.get(mode) if isinstance(mode := images.get("crop_mode"), str) else None,
        num_heads=num_heads,
        activation=activation,
    )


def _timm_attention(config: dict[str, JsonValue]) -> tuple[int | tuple[int, ...] | None, str | None]:
    """Returns the number of heads and the nonlinearity of timm's model, from its arguments or else from its name."""
    name, inner = config.get("architecture"), config.get("model_args")
    usual = vars(PRESETS[name]) if isinstance(name, str) and name in PRESETS else {}
    arguments = inner if isinstance(inner, dict) else {}
    return (
        _heads(arguments.get("num_heads", usual.get("num_heads"))),
        _activation(arguments.get("act_layer", usual.get("mlp"))),
    )


def _hugging_face(weights: Path, config: dict[str, JsonValue], images: dict[str, JsonValue]) -> Published:
    labels, is_upernet = config.get("id2label"), config["model_type"] == "upernet"
    inner = config.get("backbone_config") if is_upernet else config
    norms = inner if isinstance(inner, dict) else {}
    names = _texts([labels.get(str(index)) for index in range(len(labels))]) if isinstance(labels, dict) else ()
    is_default = names == tuple(f"LABEL_{index}" for index in range(len(names)))
    return Published(
        path=weights,
        norm_epsilon=_fraction(norms.get("layer_norm_eps")),
        class_names=() if is_default else names,
        num_classes=len(names) or None,
        normalization=_normalization(images.get("image_mean"), images.get("image_std")),
        crop_fraction=_crop(images) if images and not is_upernet else None,
        interpolation=_interpolation(images.get("resample")),
        stretches=_stretches(images) if images and not is_upernet else None,
        num_heads=_heads(norms.get("num_attention_heads", norms.get("num_heads"))),
        activation=_activation(norms.get("hidden_act")),
        upernet=config if is_upernet else {},
    )


def _crop(images: dict[str, JsonValue]) -> float | None:
    """Returns the fraction that a central crop keeps; 1 without a crop."""
    if not images.get("do_center_crop", False):
        return 1.0
    size, crop = images.get("size"), images.get("crop_size")
    if not isinstance(size, dict) or not isinstance(crop, dict):
        return None
    resized, kept = _count(size.get("shortest_edge", size.get("height"))), _count(crop.get("height"))
    return _fraction(kept / resized) if resized and kept else None


def _stretches(images: dict[str, JsonValue]) -> bool:
    size = images.get("size")
    keeps_proportions = isinstance(size, dict) and "shortest_edge" in size
    return not keeps_proportions


def _texts(value: object) -> tuple[str, ...]:
    is_list = isinstance(value, list) and all(isinstance(text, str) for text in value)
    return tuple(value) if is_list else ()


def _count(value: object) -> int | None:
    return value if type(value) is int and value > 0 else None


def _heads(value: object) -> int | tuple[int, ...] | None:
    """Returns one number, or the numbers of stages."""
    if isinstance(value, list | tuple):
        counts = tuple(_count(each) for each in value)
        return tuple(each for each in counts if each is not None) if counts and all(counts) else None
    return _count(value)


def _activation(value: object) -> str | None:
    """Returns the name of a nonlinearity; None for a gated MLP, which differs in shapes."""
    return _ACTIVATIONS.get(value, value) if isinstance(value, str) and value != "swiglu" else None


def _fraction(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) and 0 < value <= 1 else None


def _interpolation(value: object) -> Interpolation | None:
    return _INTERPOLATIONS.get(value) if isinstance(value, str | int) else None


def _normalization(mean: object, std: object) -> Normalization | None:
    means, deviations = _three(mean), _three(std)
    if means is None or deviations is None or min(deviations) <= 0:
        return None
    return Normalization(mean=means, std=deviations)


def _three(value: object) -> tuple[float, float, float] | None:
    if not isinstance(value, list) or len(value) != 3:
        return None
    if not all(isinstance(number, int | float) and 0 <= number <= 1 for number in value):
        return None
    return float(value[0]), float(value[1]), float(value[2])
