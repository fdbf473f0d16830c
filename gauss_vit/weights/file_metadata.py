"""What the header of a weight file of ours says: step, classes, their colours, pixel statistics, grids of positions."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from jaxtyping import PyTree

from gauss_vit.errors import ConfigError
from gauss_vit.models.backbone import BackboneConfig
from gauss_vit.models.stage import POSITION_EMBED
from gauss_vit.ops.grid import Grid
from gauss_vit.ops.pixel_normalization import Normalization
from gauss_vit.palette import Palette
from gauss_vit.weights.bias_sites import term_at
from gauss_vit.weights.names.naming import Rule, expected

_STEP, _CLASSES, _MEAN, _STD, _GRIDS = "step", "class_names", "mean", "std", "position_grids"
_PALETTE = "palette"
_LARGEST_SIDE = 10_000


@dataclass(frozen=True, kw_only=True)
class Origin:
    """What is known of the model that weights come from.

    Attributes:
      step: Number of updates.
      class_names: Names of the classes in the order of the head's outputs; empty if they are unknown.
      normalization: Normalisation of the images' bytes.
      crop_fraction: Size of the central crop as a fraction of the resized image.
      interpolation: Filter of the resizing: "bicubic" or "bilinear".
      stretches: Whether each side of an image is resized on its own.
      palette: Colours of the classes; empty if they have none.
    """

    step: int
    class_names: tuple[str, ...]
    normalization: Normalization
    crop_fraction: float
    interpolation: str
    stretches: bool = False
    palette: Palette = ()


def to_metadata(origin: Origin, grids: Mapping[str, Grid]) -> dict[str, str]:
    """Encodes an origin and the grids of position tensors, by their names in the file, as JSON texts by name."""
    values = {
        _STEP: origin.step,
        _CLASSES: list(origin.class_names),
        _MEAN: list(origin.normalization.mean),
        _STD: list(origin.normalization.std),
        _GRIDS: {name: list(grid) for name, grid in grids.items()},
        **({_PALETTE: [list(color) for color in origin.palette]} if origin.palette else {}),
    }
    return {name: json.dumps(value) for name, value in values.items()}


def class_names_of(metadata: Mapping[str, str]) -> tuple[str, ...]:
    """Reads the printable names of the classes in a file's header; empty where it does not say."""
    names = _value(metadata, _CLASSES)
    is_list = isinstance(names, list) and all(isinstance(name, str) and name.isprintable() for name in names)
    return tuple(names) if is_list else ()


def palette_of(metadata: Mapping[str, str], class_names: Sequence[str]) -> Palette:
    """Reads the colours of some classes in a file's header, by their names; empty where it does not say all of them."""
    colors, names = _value(metadata, _PALETTE), class_names_of(metadata)
    if not isinstance(colors, list) or len(colors) != len(names) or not all(map(_is_color, colors)):
        return ()
    by_name = {name: (color[0], color[1], color[2]) for name, color in zip(names, colors, strict=True)}
    return tuple(by_name[name] for name in class_names) if set(class_names) <= set(names) else ()


def normalization_of(metadata: Mapping[str, str]) -> Normalization | None:
    """Reads the normalisation of the pixels in a file's header; None where it does not say."""
    mean, std = (_three_numbers(_value(metadata, name)) for name in (_MEAN, _STD))
    if mean is None or std is None:
        return None
    try:
        return Normalization(mean=mean, std=std)
    except ConfigError:
        return None


def grids_of_file(metadata: Mapping[str, str]) -> dict[str, Grid]:
    """Reads the grids of position tensors in a file's header, by name; those of other tensors are unknown."""
    grids = _value(metadata, _GRIDS)
    items = grids.items() if isinstance(grids, dict) else ()
    return {name: (sides[0], sides[1]) for name, sides in items if _is_grid(sides)}


def grids_of_tensors(config: BackboneConfig, params: PyTree, rules: tuple[Rule, ...]) -> dict[str, Grid]:
    """Returns the (height, width) in patches of every position tensor of theirs, by its name.

    Args:
      config: Config of the backbone.
      params: Parameters of its network, a nested dict of arrays or of shapes.
      rules: Table of names.
    """
    grids = {}
    for name, each in expected(rules, params).items():
        found = term_at(each.path, config)
        if each.path == POSITION_EMBED:
            grids[name] = config.grid
        elif found is not None and found[1].is_tied_to_grid:
            grids[name] = found[0].grid
    return grids


def _value(metadata: Mapping[str, str], name: str) -> object:
    try:
        return json.loads(metadata.get(name, "null"))
    except (ValueError, RecursionError):
        return None


def _three_numbers(value: object) -> tuple[float, float, float] | None:
    if not isinstance(value, list) or len(value) != 3 or not all(type(number) in (int, float) for number in value):
        return None
    return float(value[0]), float(value[1]), float(value[2])


def _is_color(value: object) -> bool:
    is_triple = isinstance(value, list) and len(value) == 3
    return is_triple and all(type(part) is int and 0 <= part <= 255 for part in value)


def _is_grid(sides: object) -> bool:
    is_pair = isinstance(sides, list) and len(sides) == 2
    return is_pair and all(type(side) is int and 0 < side < _LARGEST_SIDE for side in sides)
