"""Finds the presets that a weight file was made for, to name them where it does not fit the chosen model."""

import contextlib
import re

from gauss_vit.errors import CheckpointError
from gauss_vit.heads.network import NetworkConfig
from gauss_vit.heads.stock import stock_head
from gauss_vit.models.backbone import BackboneConfig
from gauss_vit.models.presets import PRESETS, Preset
from gauss_vit.models.xcit import XCiTConfig
from gauss_vit.weights.detection import detect
from gauss_vit.weights.names.naming import Expected, shown_name
from gauss_vit.weights.safetensors_file import BUFFERS, WeightFile

_HEAD = r"head\..*"


def other_model(file: WeightFile, config: BackboneConfig) -> CheckpointError | None:
    """Returns an error that names the presets that a file fits; None if there are none, or the model itself fits.

    Args:
      file: A file that was refused for a model.
      config: Config of the model's backbone.
    """
    # Equal configs have several names, and the comparison is the same for all.
    candidates = [preset for preset in dict.fromkeys(PRESETS.values()) if _has_patches_of(file, preset)]
    fitting = [preset for preset in candidates if _fits(file, preset)]
    names = [name for preset in fitting for name in PRESETS if PRESETS[name] == preset]
    if not names or _fits(file, config):
        return None
    sizes = _difference(config, PRESETS[names[0]])
    looks = f"this looks like {' or '.join(names)}"
    return CheckpointError(
        f"{shown_name(str(file.path))} does not fit the model: {sizes}{looks}",
        code="CKPT-TREE",
        do=f"use --model={names[0]}, or a config of that model",
    )


def _difference(config: BackboneConfig, preset: Preset) -> str:
    """Describes the first size in which the preset of a file differs from the model; empty if their sizes are equal."""
    for field in ("width", "patch_size", "depth", "image_size"):
        found, wanted = vars(preset).get(field), vars(config).get(field)
        if found is not None and wanted is not None and found != wanted:
            return f"it has {field.replace('_', ' ')} {found} and the model {wanted}; "
    return ""


def _has_patches_of(file: WeightFile, preset: Preset) -> bool:
    """Returns whether some tensor has the shape of the preset's first convolution; far cheaper than `_fits`."""
    is_stem = isinstance(preset, XCiTConfig)
    kernel = (preset.stem_widths[0], 3, 3, 3) if is_stem else (preset.width, 3, *preset.patch_size)
    return any(entry.shape == kernel for entry in file.entries.values())


def _fits(file: WeightFile, config: BackboneConfig) -> bool:
    """Returns whether a file has all tensors of a backbone and no others, but for the classifier's size."""
    with contextlib.suppress(CheckpointError):
        detected = detect(file, NetworkConfig(backbone=config, head=stock_head(config)))
        wanted = detected.wanted
        found = {name: entry.shape for name, entry in detected.file.entries.items() if not re.fullmatch(BUFFERS, name)}
        body = {name: each.shape for name, each in wanted.items() if not _is_head(each)}
        heads = {name for name, each in wanted.items() if _is_head(each)}
        return all(found.get(name) == shape for name, shape in body.items()) and set(found) <= set(body) | heads
    return False


def _is_head(each: Expected) -> bool:
    return re.fullmatch(_HEAD, each.path) is not None
