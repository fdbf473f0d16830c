"""Models by timm's names, `MODEL` or `MODEL.TAG`: how images are prepared for each published set of weights.

`timm_tags.csv` beside this file holds the tags of every preset with mean, standard deviation, interpolation and crop,
whose mode is "center", or "squash" where images are stretched. A model that timm publishes no weights of may have one
row without a tag.
Source: timm 1.0.31's `default_cfgs`, written by `tests/assembly/record_timm_tags.py`.
"""

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources

from gauss_vit.config.schema import nearest
from gauss_vit.data.images.transforms import ResizeCenterCrop
from gauss_vit.errors import ConfigError
from gauss_vit.heads.stock import IMAGENET_CLASSES
from gauss_vit.models.presets import PRESETS
from gauss_vit.ops.pixel_normalization import Normalization

IMAGENET = Normalization(mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225))
"""Mean and standard deviation of ImageNet's pixels."""

CENTERED = Normalization(mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5))
"""Bytes are mapped to -1..1."""

_TAGS, _CLASSES = "timm_tags.csv", "imagenet_classes.txt"


@dataclass(frozen=True, kw_only=True)
class Pretrained:
    """A set of weights that timm publishes, and how an image becomes their model's input.

    Attributes:
      model: timm's name of the architecture, that of a preset.
      tag: name of the weights among those of the architecture; empty if timm publishes none.
      num_classes: number of classes of their classifier; 0 if they have none.
      transform: resizing to the model's size, on the host.
      normalization: normalisation of the bytes, on the device.
    """

    model: str
    tag: str
    num_classes: int
    transform: ResizeCenterCrop
    normalization: Normalization

    @property
    def class_names(self) -> tuple[str, ...]:
        """Names of the classes in the order of the outputs; empty where they are not those of ImageNet-1K."""
        return imagenet_classes() if self.num_classes == IMAGENET_CLASSES else ()


def preparation(name: str) -> Pretrained:
    """Returns the weights that a name stands for; without a tag, timm's default ones of that model.

    Args:
      name: `MODEL` or `MODEL.TAG`.

    Raises:
      ConfigError: there is no such preset, or timm has no such tag of it; the nearest name is suggested.

    >>> preparation("vit_base_patch16_224.mae").normalization == IMAGENET
    True
    """
    model, _, tag = name.partition(".")
    if model not in PRESETS:
        suggestion = nearest(model, PRESETS)
        remedy = f"try {suggestion}" if suggestion else "choose one that `gauss-vit models` lists"
        raise ConfigError(f"unknown model {model!r}", do=remedy)
    rows = _rows_of(model)
    if not tag:
        return rows[0] if rows else _unpublished(model)
    known = pretrained_of(model)
    found = next((weights for weights in known if weights.tag == tag), None)
    if found is None:
        tags = [weights.tag for weights in known]
        suggestion = nearest(tag, tags)
        known_tags = f"choose a tag of {', '.join(tags)}" if tags else f"try {model}"
        remedy = f"try {model}.{suggestion}" if suggestion else known_tags
        raise ConfigError(f"timm has no weights {tag!r} of {model}", do=remedy)
    return found


def pretrained_of(model: str) -> tuple[Pretrained, ...]:
    """Lists the weights that timm publishes for a preset, the default ones first."""
    return tuple(weights for weights in _rows_of(model) if weights.tag)


def imagenet_classes() -> tuple[str, ...]:
    """Returns the names of ImageNet-1K's classes, each different, in the order of their indices."""
    return tuple(name for _, name in _imagenet())


def in_words(class_names: Sequence[str]) -> tuple[str, ...]:
    """Replaces WordNet's names of ImageNet's classes by words, if all classes have such names.

    >>> in_words(["n01440764", "n01443537"]), in_words(["n01440764", "cat"])
    (('tench', 'goldfish'), ('n01440764', 'cat'))
    """
    words = dict(_imagenet())
    are_synsets = all(name in words for name in class_names)
    return tuple(words[name] if are_synsets else name for name in class_names)


def _imagenet() -> tuple[tuple[str, str], ...]:
    pairs = (line.split(" ", 1) for line in _text(_CLASSES).splitlines() if not line.startswith("#"))
    return tuple((synset, name) for synset, name in pairs)


def _rows_of(model: str) -> tuple[Pretrained, ...]:
    rows = csv.DictReader(_text(_TAGS).splitlines())
    return tuple(_pretrained(row) for row in rows if row["model"] == model)


def _unpublished(model: str) -> Pretrained:
    """Returns timm's default preparation, for a model that it publishes no weights of."""
    return Pretrained(model=model, tag="", num_classes=0, transform=ResizeCenterCrop(), normalization=CENTERED)


def _text(name: str) -> str:
    return (resources.files("gauss_vit.assembly") / name).read_text(encoding="utf-8")


def _pretrained(row: dict[str, str]) -> Pretrained:
    interpolation = row["interpolation"]
    if interpolation not in ("bicubic", "bilinear"):
        raise ValueError(f"{_TAGS}: {row['model']}.{row['tag']} has an unknown interpolation {interpolation!r}")
    return Pretrained(
        model=row["model"],
        tag=row["tag"],
        num_classes=int(row["num_classes"]),
        transform=ResizeCenterCrop(
            crop_fraction=float(row["crop_fraction"]),
            interpolation=interpolation,
            stretches=row["crop_mode"] == "squash",
        ),
        normalization=Normalization(mean=_three(row["mean"]), std=_three(row["std"])),
    )


def _three(text: str) -> tuple[float, float, float]:
    red, green, blue = map(float, text.split())
    return red, green, blue
