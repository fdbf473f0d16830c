"""Weights of a file or a folder for a model, with what is said beside them taken over, and said."""

import dataclasses
from collections.abc import Sequence
from typing import TypeVar

from gauss_vit.assembly.preset_images import Pretrained
from gauss_vit.command_line.console import warn
from gauss_vit.data.images.transforms import ResizeCenterCrop
from gauss_vit.errors import CheckpointError
from gauss_vit.heads.network import NetworkConfig
from gauss_vit.heads.stock import StockHead
from gauss_vit.models.backbone import BackboneConfig
from gauss_vit.ops.grid import Grid
from gauss_vit.weights.export.stock_models import check_computes_alike
from gauss_vit.weights.export.stock_upernet import check_agrees
from gauss_vit.weights.head_classes import Head
from gauss_vit.weights.names.hugging_face_names import usual_epsilon
from gauss_vit.weights.names.naming import shown_name
from gauss_vit.weights.pretrained import Imported, load_weights
from gauss_vit.weights.published import Published

Config = TypeVar("Config", bound=BackboneConfig)


def with_epsilon(config: Config, found: Published) -> Config:
    """Returns a config with the LayerNorm epsilon that the weights were trained with, and says so if it differs."""
    epsilon, own = found.norm_epsilon, vars(config)["norm_epsilon"]
    if epsilon is None or epsilon == own:
        return config
    warn(f"LayerNorm epsilon {epsilon:g} is taken from the config.json beside {found.path}; the model's own is {own:g}")
    return dataclasses.replace(config, norm_epsilon=epsilon)


def images_for(found: Published, usual: Pretrained) -> Pretrained:
    """Returns the preparation of images that the weights expect, and says so if it is not the model's usual one."""
    transform = ResizeCenterCrop(
        crop_fraction=found.crop_fraction or usual.transform.crop_fraction,
        interpolation=found.interpolation or usual.transform.interpolation,
        stretches=usual.transform.stretches if found.stretches is None else found.stretches,
    )
    normalization = found.normalization or usual.normalization
    images = dataclasses.replace(usual, transform=transform, normalization=normalization)
    if images != usual:
        warn(
            f"images are prepared as the files beside {found.path} say: mean {normalization.mean}, std "
            f"{normalization.std}, {transform.interpolation}, crop {transform.crop_fraction:g}"
            f"{', without keeping their proportions' if transform.stretches else ''}"
        )
    return images


def load(
    found: Published,
    network: NetworkConfig,
    *,
    head: Head,
    source_grid: Grid | None = None,
    class_names: Sequence[str] = (),
    seed: int = 0,
) -> Imported:
    """Loads weights that were found, as `load_weights`, says what was left off or out, and names their classes.

    Raises:
      CheckpointError: the file is refused, or does not fit, or is of another model by the config.json beside it.
      ConfigError: the weights are of a dense task, and the library's model computes something else than the network.
    """
    imported = load_weights(found.path, network, head=head, source_grid=source_grid, class_names=class_names, seed=seed)
    _check_stated(network.backbone, found)
    _check_computes_alike(imported, network, found)
    _say_what_was_read(imported, network.backbone, found)
    num_classes = vars(network.head).get("num_classes")
    is_named = not imported.has_fresh_head and len(found.class_names) == num_classes
    names = found.class_names if is_named else ()
    # The classes of dense tasks are words everywhere; those of images are identifiers in many data sets.
    identifies = not isinstance(network.head, StockHead) and tuple(class_names) in ((), names)
    return dataclasses.replace(
        imported,
        class_names=imported.class_names or names,
        head_classes=imported.head_classes or (names if identifies else ()),
        normalization=found.normalization or imported.normalization,
    )


def _check_stated(config: BackboneConfig, found: Published) -> None:
    """Checks what the config.json beside weights states and no shape tells: numbers of heads and the nonlinearity.

    Raises:
      CheckpointError: it is of another model (code CKPT-TREE).
    """
    own = {"num_heads": vars(config).get("num_heads"), "mlp": vars(config).get("mlp", "gelu")}
    stated = {"num_heads": found.num_heads, "mlp": None if own["mlp"] == "swiglu" else found.activation}
    unequal = [name for name, value in stated.items() if value is not None and own[name] != value]
    if unequal:
        listed = ", ".join(
            f"{name} is {shown_name(str(stated[name]))} there and {own[name]} in the model" for name in unequal
        )
        raise CheckpointError(
            f"the config.json beside {found.path} is of another model: {listed}",
            code="CKPT-TREE",
            do="choose the model that it describes, or move the weights to a folder without it",
        )


def _check_computes_alike(imported: Imported, network: NetworkConfig, found: Published) -> None:
    """Checks what the tensors of a dense task's network do not tell: that the model computes what the library's does.

    Raises:
      CheckpointError: the config.json beside the weights is of another one.
      ConfigError: no model of the library computes the same.
    """
    if imported.has_fresh_head or isinstance(network.head, StockHead):
        return
    check_computes_alike(network, imported.table)
    if imported.table == "hugging_face":
        check_agrees(found.upernet, network)


def _say_what_was_read(imported: Imported, config: BackboneConfig, found: Published) -> None:
    """Warns of what was left off or out of the weights, and of an epsilon that differs or that nobody knows."""
    for note in imported.notes():
        warn(f"{found.path}: {note}")
    own = vars(config)["norm_epsilon"]
    usual = usual_epsilon(config) if imported.table == "hugging_face" else own
    if found.norm_epsilon is None and own != usual:
        warn(
            f"{found.path} has no readable config.json beside it, so its LayerNorm epsilon is unknown: {own:g} is "
            f"used, and Hugging Face's default is {usual:g}"
        )
    elif found.norm_epsilon is not None and found.norm_epsilon != own:
        warn(
            f"the config's LayerNorm epsilon is {own:g} and that of {found.path} {found.norm_epsilon:g}: for the same "
            f"outputs, set model.norm_epsilon={found.norm_epsilon:g}"
        )
