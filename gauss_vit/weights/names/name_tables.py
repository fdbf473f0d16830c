"""Tables of other libraries' parameter names; names in a file are looked up nowhere else."""

from collections.abc import Callable, Mapping
from types import MappingProxyType

from gauss_vit.errors import CheckpointError, ConfigError
from gauss_vit.heads.mask_rcnn import MaskRCNNHead
from gauss_vit.heads.network import HeadConfig, NetworkConfig
from gauss_vit.heads.stock import StockHead
from gauss_vit.heads.upernet import UPerNetHead
from gauss_vit.models.backbone import BackboneConfig
from gauss_vit.models.swin import SwinConfig
from gauss_vit.models.vit import ViTConfig
from gauss_vit.models.xcit import XCiTConfig
from gauss_vit.weights.names import (
    hugging_face_names,
    mmdet_names,
    mmseg_names,
    timm_names,
    timm_swin_names,
    timm_xcit_names,
)
from gauss_vit.weights.names.naming import TRANSPOSED, Rule

Rules = Callable[[NetworkConfig], tuple[Rule, ...]]


def timm_rules(network: NetworkConfig) -> tuple[Rule, ...]:
    """Returns timm's names for any backbone with a linear head.

    Raises:
      CheckpointError: timm has no such model.
    """
    _check_is_classifier(network, library="timm")
    match network.backbone:
        case ViTConfig() as config:
            _check_has_counterpart(config)
            return (*_tables_with_prefix(config), *timm_names.vit_rules(config))
        case SwinConfig() as config:
            return timm_swin_names.swin_rules(config)
        case XCiTConfig() as config:
            return timm_xcit_names.xcit_rules(config)
        case config:
            raise _unknown(config)


def hugging_face_rules(network: NetworkConfig) -> tuple[Rule, ...]:
    """Returns Hugging Face's names for any backbone with a linear head, and for a UPerNet on a Swin.

    Parameters that its models lack have no name.

    Raises:
      CheckpointError: Hugging Face has no such model.
    """
    if isinstance(network.head, UPerNetHead):
        return hugging_face_names.upernet_rules(_swin_of(network, library="Hugging Face"))
    _check_is_classifier(network, library="Hugging Face")
    match network.backbone:
        case ViTConfig() as config:
            return hugging_face_names.vit_rules(config)
        case SwinConfig() as config:
            return hugging_face_names.swin_rules(config)
        case config:
            raise _unknown(config)


def mmseg_rules(network: NetworkConfig) -> tuple[Rule, ...]:
    """Returns MMSegmentation's names for a UPerNet on a Swin.

    Raises:
      CheckpointError: the network is another one.
    """
    if not isinstance(network.head, UPerNetHead):
        raise _unnamed(network.head, library="MMSegmentation")
    return mmseg_names.upernet_rules(_swin_of(network, library="MMSegmentation"))


def mmdet_rules(network: NetworkConfig) -> tuple[Rule, ...]:
    """Returns MMDetection's names for a Mask R-CNN on a Swin.

    Raises:
      CheckpointError: the network is another one.
    """
    if not isinstance(network.head, MaskRCNNHead):
        raise _unnamed(network.head, library="MMDetection")
    return mmdet_names.mask_rcnn_rules(_swin_of(network, library="MMDetection"), bins=network.head.box.bins)


def _swin_of(network: NetworkConfig, *, library: str) -> SwinConfig:
    if not isinstance(network.backbone, SwinConfig):
        raise CheckpointError(
            f"{library} has no names for a {type(network.head).__name__} on a {type(network.backbone).__name__}, only "
            "on a Swin",
            code="CKPT-TREE",
            do="use a workdir of gauss_vit instead of a file",
        )
    return network.backbone


def _unknown(config: BackboneConfig) -> CheckpointError:
    return CheckpointError(
        f"no other library has names for the parameters of a {type(config).__name__}",
        code="CKPT-TREE",
        do="use a workdir of gauss_vit instead of a file",
    )


def _check_is_classifier(network: NetworkConfig, *, library: str) -> None:
    if not isinstance(network.head, StockHead):
        raise _unnamed(network.head, library=library)


def _unnamed(head: HeadConfig, *, library: str) -> CheckpointError:
    others = "another format, or " if isinstance(head, UPerNetHead | MaskRCNNHead | StockHead) else ""
    return CheckpointError(
        f"{library} has no names for the parameters of a {type(head).__name__}",
        code="CKPT-TREE",
        do=f"use {others}a workdir of gauss_vit instead of a file",
    )


def _check_has_counterpart(config: ViTConfig) -> None:
    has_relative = any(term.is_in_foreign_files for term in config.position.all_terms)
    has_absolute = config.position.absolute is not None
    if has_relative and (has_absolute or config.mixes_heads or config.distillation_token):
        raise CheckpointError(
            "timm has no transformer with a relative table beside absolute embeddings, so none computes the same",
            code="CKPT-TREE",
            do="add the Gaussian to a vit_relpos, beit or swin model if it is to be exported",
        )


def _tables_with_prefix(config: ViTConfig) -> tuple[Rule, ...]:
    """Returns the names of tables with rows for the class token in `vision_transformer_relpos`; BEiT has others."""
    if config.biases == "query_value":
        return ()
    return tuple(
        Rule(
            theirs=f"{theirs}.relative_position_bias_table",
            ours=f"{ours}.relative.table_and_prefix",
            transform=TRANSPOSED,
        )
        for theirs, ours in (
            ("blocks.{layer}.attn.rel_pos", "backbone.blocks.attention.bias"),
            ("shared_rel_pos", "backbone.shared_bias"),
        )
    )


NAME_TABLES: Mapping[str, Rules] = MappingProxyType(
    {"timm": timm_rules, "hugging_face": hugging_face_rules, "mmseg": mmseg_rules, "mmdet": mmdet_rules}
)
"""Tables by their names on the command line."""


def rules_named(name: str) -> Rules:
    """Returns a table by its name.

    Raises:
      ConfigError: there is no such table.
    """
    if name not in NAME_TABLES:
        raise ConfigError(f"unknown weight format {name!r}", do=f"use one of {', '.join(NAME_TABLES)}, stablehlo")
    return NAME_TABLES[name]
