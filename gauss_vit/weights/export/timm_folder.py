"""The config.json of a folder that `timm.create_model('local-dir:...', pretrained=True)` loads.

Source: timm 1.0, `models/_hub.py` (`save_config_for_hf`, `load_model_config_from_path`).
"""

from gauss_vit.config.schema import JsonValue
from gauss_vit.errors import ConfigError
from gauss_vit.models.backbone import BackboneConfig
from gauss_vit.weights.export.timm_call import TimmModel
from gauss_vit.weights.file_metadata import Origin


def timm_config(model: TimmModel, config: BackboneConfig, *, num_classes: int, origin: Origin) -> dict[str, JsonValue]:
    """Returns the content of config.json.

    Raises:
      ConfigError: the epsilon of the normalisation is not the named model's.
    """
    if model.norm_epsilon is not None:
        raise ConfigError(
            f"a config.json of timm cannot hold the LayerNorm epsilon {model.norm_epsilon!r}",
            do="write --out=FILE.safetensors instead of a folder; the call that is printed sets the epsilon",
        )
    arguments = {name: value for name, value in model.arguments.items() if name != "num_classes"}
    names: dict[str, JsonValue] = {"label_names": list(origin.class_names)} if origin.class_names else {}
    return {
        "architecture": model.name,
        "num_classes": num_classes,
        "num_features": config.num_features,
        **names,
        **({"model_args": arguments} if arguments else {}),
        "pretrained_cfg": {
            "custom_load": False,
            "input_size": [3, *config.image_size],
            "fixed_input_size": True,
            "interpolation": origin.interpolation,
            "crop_pct": origin.crop_fraction,
            "crop_mode": "squash" if origin.stretches else "center",
            "mean": list(origin.normalization.mean),
            "std": list(origin.normalization.std),
            "num_classes": num_classes,
            "pool_size": None,
            "first_conv": "patch_embed.proj",
            "classifier": ["head", "head_dist"] if _is_distilled(config) else _classifier(model),
        },
    }


def _is_distilled(config: BackboneConfig) -> bool:
    return bool(vars(config).get("distillation_token", False))


def _classifier(model: TimmModel) -> str:
    return "head.fc" if model.name.startswith("swin") else "head"
