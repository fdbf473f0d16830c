"""`models`: the models that `--model` can name, with their sizes."""

import fnmatch
from collections.abc import Sequence
from dataclasses import is_dataclass

from gauss_vit.assembly.preset_images import pretrained_of
from gauss_vit.command_line.console import say
from gauss_vit.command_line.invocation import Invocation
from gauss_vit.command_line.table import Alignment, aligned_row
from gauss_vit.config import schema
from gauss_vit.config.keys import keys_of
from gauss_vit.errors import ConfigError
from gauss_vit.heads.network import NetworkConfig
from gauss_vit.heads.stock import stock_head
from gauss_vit.models.presets import PRESETS, Preset
from gauss_vit.position.absolute import AbsoluteEmbedding
from gauss_vit.position.fourier import FourierEmbedding
from gauss_vit.position.rotary import Rotary
from gauss_vit.position.term import BiasTerm
from gauss_vit.train.state import abstract_model
from gauss_vit.tree import flatten_paths

_HEADER = ("model", "size", "patch", "depth", "width", "parameters", "position")
_WIDTHS = (7, 5, 5, 5, 11, 0)
_ALIGNMENTS: tuple[Alignment, ...] = ("left", "right", "right", "right", "right", "right", "left")


def run(invocation: Invocation) -> None:
    """Writes a line for each model, its name alone, or its name with every tag of timm's, the default one first."""
    names = matching(invocation.arguments)
    if invocation.switch("names"):
        say("\n".join(names))
        return
    if invocation.switch("tags"):
        say("\n".join(f"{name}.{weights.tag}" for name in names for weights in pretrained_of(name)))
        return
    widths = (max(map(len, names)), *_WIDTHS)
    say(aligned_row(_HEADER, widths, _ALIGNMENTS))
    for name in names:
        say(aligned_row((name, *cells(PRESETS[name])), widths, _ALIGNMENTS))


def matching(patterns: Sequence[str]) -> tuple[str, ...]:
    """Lists the names that contain one of the patterns, or that one with wildcards describes; all without a pattern.

    Raises:
      ConfigError: no name matches.
    """
    wanted = [pattern if any(mark in pattern for mark in "*?[") else f"*{pattern}*" for pattern in patterns or [""]]
    names = tuple(name for name in PRESETS if any(fnmatch.fnmatchcase(name, pattern) for pattern in wanted))
    if not names:
        suggestion = schema.nearest(patterns[0], PRESETS)
        raise ConfigError(
            f"no model is called like {' or '.join(patterns)}",
            do=f"try {suggestion}" if suggestion else "leave the pattern out to see all models",
        )
    return names


def cells(config: Preset) -> tuple[str, ...]:
    """Describes a model: image size and patch in pixels, blocks, channels, parameters with 1,000 classes, positions."""
    model = abstract_model(NetworkConfig(backbone=config, head=stock_head(config)).make)
    sizes = [leaf.size for path, leaf in flatten_paths(model.params).items() if path not in model.statistics]
    return (
        "x".join(map(str, config.image_size)),
        "x".join(map(str, config.patch_size)),
        str(config.depth),
        str(config.width),
        f"{sum(sizes):,}",
        " + ".join(positions(config)),
    )


def positions(config: Preset) -> tuple[str, ...]:
    """Names the position information of a model: embeddings, absolute and rotary ones, then bias terms."""
    parts = [key.value for key in keys_of(config) if is_dataclass(key.value)]
    absolute = ["absolute" for part in parts if isinstance(part, AbsoluteEmbedding)]
    fixed = ["fourier" for part in parts if isinstance(part, FourierEmbedding)]
    rotary = ["rotary" for part in parts if isinstance(part, Rotary)]
    return (*absolute, *fixed, *rotary, *(part.name for part in parts if isinstance(part, BiasTerm)))
