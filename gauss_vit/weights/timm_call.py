"""Writes the timm call that builds the stock model of a config, to load an exported file into."""

import dataclasses

from gauss_vit.heads.linear import LinearHead
from gauss_vit.heads.network import HeadConfig
from gauss_vit.models.backbone import BackboneConfig
from gauss_vit.models.presets import PRESETS
from gauss_vit.position.relative import RelativeTable

# Fields that do not select the stock model: sizes that timm takes as arguments, initialisation, and training settings.
_FREE = (
    "image_size",
    "position",
    "layer_scale",
    "start",
    "position_dropout",
    "projection_dropout",
    "attention_dropout",
    "stochastic_depth",
    "takes_any_size",
    "compute",
)


def timm_call(config: BackboneConfig, head: HeadConfig) -> str | None:
    """Writes `timm.create_model(...)` for a backbone without a Gaussian and its head.

    Returns:
      The call, or None if timm has no such model.
    """
    if not isinstance(head, LinearHead):
        return None
    names = [name for name, preset in PRESETS.items() if _architecture(preset) == _architecture(config)]
    exact = [name for name in names if PRESETS[name].image_size == config.image_size]
    if not names:
        return None
    name = (exact or names)[0]
    preset = PRESETS[name]
    arguments = [repr(name)]
    if _has_table(config) and not _has_table(preset):
        arguments.append("rel_pos_type='bias'")
        if preset.position.shared and not config.position.shared:
            arguments.append("shared_rel_pos=False")
    if config.image_size != preset.image_size:
        arguments.append(f"img_size={config.image_size}")
    if head.num_classes != LinearHead().num_classes:
        arguments.append(f"num_classes={head.num_classes}")
    return f"timm.create_model({', '.join(arguments)})"


def _has_table(config: BackboneConfig) -> bool:
    return any(isinstance(term, RelativeTable) for term in config.position.all_terms)


def _architecture(config: BackboneConfig) -> dict[str, object]:
    """Returns the properties of a config that select its stock model."""
    kinds = {
        "stock term": not any(term.is_in_foreign_files for term in config.position.all_terms),
        "absolute embedding": config.position.absolute,
        "layer_scale": "layer_scale" in vars(config) and vars(config)["layer_scale"] is None,
    }
    fixed = {field.name: vars(config)[field.name] for field in dataclasses.fields(config) if field.name not in _FREE}
    return {"class": type(config), **fixed, "kinds": kinds}
