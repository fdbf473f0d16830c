"""The UPerNets of transformers and MMSegmentation that compute the same as a network on a Swin.

Source: transformers 5, `UperNetConfig`, `modeling_upernet.py`; MMSegmentation 1.2, `UPerHead`, `FCNHead`,
`SwinTransformer`.
"""

from collections.abc import Iterable, Mapping

from gauss_vit.config.schema import JsonValue
from gauss_vit.errors import CheckpointError, ConfigError
from gauss_vit.heads.network import NetworkConfig
from gauss_vit.heads.upernet import UPerNetHead
from gauss_vit.models.backbone import BackboneConfig
from gauss_vit.models.swin import SwinConfig
from gauss_vit.weights.export.stock_swin import openmmlab_swin, swin_obstacle
from gauss_vit.weights.names.naming import shown_name

LIBRARIES: Mapping[str, str] = {"hugging_face": "transformers", "mmseg": "MMSegmentation"}
"""Libraries that have a UPerNet, by the name of their table of names."""

_AUXILIARY_LEVEL = 2
"""Index of the stage that the auxiliary head reads, which transformers fixes."""

_TOLD, _TOLD_OF_SWIN = ("pool_scales", "auxiliary_concat_input"), ("model_type", "hidden_act", "out_features")
"""What a config.json tells, and no shape of a tensor."""


def check_has_upernet(network: NetworkConfig, library: str) -> None:
    """Checks that a UPerNet of a library computes the same as a network, apart from terms that it lacks.

    Args:
      network: Config of the network.
      library: Name of the library's table of names.

    Raises:
      ConfigError: none does.
    """
    backbone, head = network.backbone, network.head
    obstacle = swin_obstacle(backbone)
    if not isinstance(head, UPerNetHead):
        obstacle = "it has another head"
    elif not obstacle and _has_other_level(backbone, head):
        obstacle = f"its auxiliary head does not read stage {_AUXILIARY_LEVEL + 1}"
    if obstacle:
        raise ConfigError(
            f"no UPerNet of {LIBRARIES[library]} computes the same as the model: {obstacle}",
            do="change the model, or exchange weights by workdirs",
        )


def check_agrees(config: Mapping[str, JsonValue], network: NetworkConfig) -> None:
    """Checks what a config.json of transformers says against a network, as far as shapes of tensors do not tell it.

    What it does not say has its default there, which is what the recipe has.

    Raises:
      CheckpointError: it is of a UPerNet that computes something else (code CKPT-TREE).
    """
    backbone, head = network.backbone, network.head
    assert isinstance(backbone, SwinConfig) and isinstance(head, UPerNetHead), "others have no names there"
    own, inner = transformers_upernet(backbone, head), config.get("backbone_config")
    others = _differences(config, own, _TOLD)
    if isinstance(inner, dict):
        others += _differences(inner, transformers_swin(backbone), _TOLD_OF_SWIN)
    if others:
        raise CheckpointError(
            f"the config.json beside the weights is of another UPerNet: {', '.join(others)}",
            code="CKPT-TREE",
            do="change the config of the model, or choose other weights",
        )


def transformers_upernet(backbone: SwinConfig, head: UPerNetHead) -> dict[str, JsonValue]:
    """Returns what config.json says of the network; labels are not part of it."""
    return {
        "model_type": "upernet",
        "architectures": ["UperNetForSemanticSegmentation"],
        "hidden_size": head.channels,
        "pool_scales": list(head.pool_scales),
        "loss_ignore_index": 255,
        **_transformers_auxiliary(backbone, head),
        "backbone_config": transformers_swin(backbone),
    }


def transformers_swin(backbone: SwinConfig) -> dict[str, JsonValue]:
    """Returns what config.json says of the backbone of a UPerNet."""
    return {
        "model_type": "swin",
        "patch_size": backbone.patch_size[0],
        "embed_dim": backbone.width,
        "depths": list(backbone.depths),
        "num_heads": list(backbone.num_heads),
        "window_size": backbone.window[0],
        "mlp_ratio": backbone.mlp_ratio,
        "layer_norm_eps": backbone.norm_epsilon,
        "qkv_bias": True,
        "hidden_act": "gelu",
        "use_absolute_embeddings": False,
        "hidden_dropout_prob": 0.0,
        "attention_probs_dropout_prob": 0.0,
        "out_features": [f"stage{number}" for number in range(1, len(backbone.depths) + 1)],
    }


def mmseg_call(network: NetworkConfig) -> str:
    """Returns the Python expression that makes MMSegmentation's model without weights; empty where it has none."""
    backbone, head = network.backbone, network.head
    if not (isinstance(backbone, SwinConfig) and isinstance(head, UPerNetHead)):
        return ""
    return f"mmseg.registry.MODELS.build({mmseg_upernet(backbone, head)!r})"


def mmseg_upernet(backbone: SwinConfig, head: UPerNetHead) -> dict[str, JsonValue]:
    """Returns the config of MMSegmentation's `EncoderDecoder`, which `MODELS.build` takes."""
    widths: list[JsonValue] = [backbone.width * 2**index for index in range(len(backbone.depths))]
    shared: dict[str, JsonValue] = {
        "num_classes": head.num_classes,
        "norm_cfg": {"type": "SyncBN", "requires_grad": True},
        "align_corners": False,
    }
    auxiliary: dict[str, JsonValue] = {}
    if head.auxiliary is not None:
        auxiliary["auxiliary_head"] = {
            "type": "FCNHead",
            "in_channels": widths[_AUXILIARY_LEVEL],
            "in_index": _AUXILIARY_LEVEL,
            "channels": head.auxiliary.channels,
            "num_convs": head.auxiliary.num_convolutions,
            "concat_input": False,
            "dropout_ratio": head.auxiliary.dropout,
            **shared,
        }
    return {
        "type": "EncoderDecoder",
        "backbone": openmmlab_swin(backbone),
        "decode_head": {
            "type": "UPerHead",
            "in_channels": widths,
            "in_index": list(range(len(widths))),
            "pool_scales": list(head.pool_scales),
            "channels": head.channels,
            "dropout_ratio": head.dropout,
            **shared,
        },
        **auxiliary,
        "train_cfg": {},
        "test_cfg": {"mode": "whole"},
    }


def _transformers_auxiliary(backbone: SwinConfig, head: UPerNetHead) -> dict[str, JsonValue]:
    if head.auxiliary is None:
        return {"use_auxiliary_head": False}
    return {
        "use_auxiliary_head": True,
        "auxiliary_in_channels": backbone.width * 2**_AUXILIARY_LEVEL,
        "auxiliary_channels": head.auxiliary.channels,
        "auxiliary_num_convs": head.auxiliary.num_convolutions,
        "auxiliary_concat_input": False,
    }


def _differences(theirs: Mapping[str, JsonValue], ours: Mapping[str, JsonValue], keys: Iterable[str]) -> list[str]:
    """Says which values differ, of those that both have."""
    return [
        f"{key} {shown_name(str(theirs[key]))} and here {ours[key]}"
        for key in keys
        if key in theirs and key in ours and theirs[key] != ours[key]
    ]


def _has_other_level(backbone: BackboneConfig, head: UPerNetHead) -> bool:
    return head.auxiliary is not None and head.auxiliary.level % len(backbone.stages()) != _AUXILIARY_LEVEL
