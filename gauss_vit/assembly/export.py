"""A named model's weights for other programs: a file, a folder that timm or transformers load, a StableHLO program."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import jax
from jaxtyping import PyTree

from gauss_vit.assembly.named_model import NamedModel
from gauss_vit.config.schema import JsonValue
from gauss_vit.errors import ConfigError, StorageError
from gauss_vit.files import replacing
from gauss_vit.heads.network import NetworkConfig
from gauss_vit.models.backbone import BackboneConfig
from gauss_vit.ops.pixel_normalization import Normalization
from gauss_vit.position.terms.relative import RelativeTable
from gauss_vit.weights import baked_gaussian, safetensors_file
from gauss_vit.weights.bake import bake
from gauss_vit.weights.baked_gaussian import gaussian_of
from gauss_vit.weights.export import stablehlo
from gauss_vit.weights.export.hugging_face_folder import auto_class, hugging_face_config, preprocessor_config
from gauss_vit.weights.export.stock_models import check_computes_alike, stock_call
from gauss_vit.weights.export.stock_swin import buffers
from gauss_vit.weights.export.timm_call import timm_model
from gauss_vit.weights.export.timm_folder import timm_config
from gauss_vit.weights.file_metadata import Origin, grids_of_tensors, to_metadata
from gauss_vit.weights.names.name_tables import rules_named
from gauss_vit.weights.names.naming import Tensor, to_theirs

WEIGHTS, CONFIG, PREPROCESSOR = "model.safetensors", "config.json", "preprocessor_config.json"
"""Names of the files in a folder."""

_WITHOUT_FOLDERS: Mapping[str, str] = {"mmseg": "MMSegmentation", "mmdet": "MMDetection"}
"""Libraries that load files alone, by the name of their table of names."""


@dataclass(frozen=True, kw_only=True)
class Exported:
    """Weights under another library's names.

    Attributes:
      network: Config of the network whose weights they are: that of the model, with baked tables.
      baked: Names of the terms that were baked into tables.
      tensors: Arrays by name.
      metadata: Texts for the header of the file.
      normalization: Normalisation of the images' bytes.
    """

    network: NetworkConfig
    baked: tuple[str, ...]
    tensors: Mapping[str, Tensor]
    metadata: Mapping[str, str]
    normalization: Normalization


def exported(named: NamedModel, library: str) -> Exported:
    """Renames the weights of a model, with terms that the library lacks baked into tables first.

    Tables get rows for prefix tokens where there are any, as stock models have them.

    Raises:
      ConfigError: the library is unknown, or the model has no stock counterpart.
      CheckpointError: a parameter has no name in it.
    """
    rules = rules_named(library)
    config, params = named.config, named.params
    foreign = tuple(term.name for term in config.position.all_terms if not term.is_in_foreign_files)
    gaussian = gaussian_of(config, params) if foreign else None
    recorded = {} if gaussian is None else baked_gaussian.to_metadata(gaussian)
    if foreign or _lacks_prefix_rows(config):
        config, params = bake(config, params)
    network = NetworkConfig(backbone=config, head=named.head)
    check_computes_alike(network, library)
    params: PyTree = jax.device_get(params)
    grids = grids_of_tensors(config, params, rules(network))
    tensors = to_theirs(params, rules(network))
    return Exported(
        network=network,
        baked=foreign,
        tensors=tensors | buffers(tensors, window=config.stages()[0].window, step=named.step),
        metadata=to_metadata(origin_of(named), grids) | recorded,
        normalization=named.normalization,
    )


def _lacks_prefix_rows(config: BackboneConfig) -> bool:
    """Returns whether there are prefix tokens, for which the tables of stock models have rows, and a table without."""
    has_prefix_tokens = any(stage.prefix_tokens > 0 for stage in config.stages())
    return has_prefix_tokens and any(
        isinstance(term, RelativeTable) and not term.has_prefix for term in config.position.all_terms
    )


def origin_of(named: NamedModel) -> Origin:
    """Returns what is known of a model, beside its parameters."""
    return Origin(
        step=named.step,
        class_names=named.class_names,
        normalization=named.normalization,
        crop_fraction=named.transform.crop_fraction,
        interpolation=named.transform.interpolation,
        stretches=named.transform.stretches,
        palette=named.palette,
    )


def write_weights(named: NamedModel, library: str, out: Path) -> list[str]:
    """Writes a file if its name ends in .safetensors, and otherwise a folder that the library loads as it is.

    Returns:
      Lines that say what was written, and the Python code that loads it.

    Raises:
      ConfigError: the model has no stock counterpart, or the folder holds something else.
      StorageError: the file or the folder cannot be written.
    """
    weights = exported(named, library)
    is_file = out.suffix == ".safetensors"
    configs = {} if is_file else _configs(weights, library, origin_of(named))
    if not is_file:
        _check_folder(out)
    safetensors_file.write(out if is_file else out / WEIGHTS, weights.tensors, metadata=weights.metadata)
    for name, content in configs.items():
        _write_json(out / name, content)
    baked = f", {' and '.join(weights.baked)} baked into the tables" if weights.baked else ""
    said = f"{out}: {len(weights.tensors)} tensors of step {named.step}{baked}"
    return [said, *(_file_code(weights, library, out) if is_file else _folder_code(weights, library, out))]


def write_program(named: NamedModel, out: Path, platforms: Sequence[str]) -> list[str]:
    """Writes a StableHLO program.

    Returns:
      Lines that say what was written, and the Python code that loads it.

    Raises:
      ConfigError: a platform is unknown.
      StorageError: the file cannot be written.
    """
    made = stablehlo.program(named.network, named.params, normalization=named.normalization, platforms=platforms)
    stablehlo.write_program(out, made)
    height, width = named.config.image_size
    return [
        f"{out}: StableHLO of step {named.step} for {', '.join(platforms)}; "
        f"uint8 images [batch, {height}, {width}, 3] to logits",
        f"jax.export.deserialize(bytearray(open({str(out)!r}, 'rb').read())).call(images)",
    ]


def _configs(weights: Exported, library: str, origin: Origin) -> dict[str, Mapping[str, JsonValue]]:
    """Returns the JSON files of a folder by name.

    Raises:
      ConfigError: the library has no such model.
    """
    network = weights.network
    if library == "hugging_face":
        return {CONFIG: hugging_face_config(network, origin), PREPROCESSOR: preprocessor_config(network, origin)}
    if library in _WITHOUT_FOLDERS:
        raise ConfigError(f"{_WITHOUT_FOLDERS[library]} loads no folders", do="write a file, --out=FILE.safetensors")
    model = timm_model(network.backbone, network.head)
    if model is None:
        raise ConfigError(
            "timm has no model that computes the same, so that it cannot load a folder",
            do="write the weights alone, --out=FILE.safetensors",
        )
    num_classes = int(vars(network.head)["num_classes"])
    return {CONFIG: timm_config(model, network.backbone, num_classes=num_classes, origin=origin)}


def _check_folder(out: Path) -> None:
    """Refuses a folder that holds a config.json of something else, such as a run, and the name of a file.

    Raises:
      ConfigError: it is one of these.
    """
    if out.is_file() or out.suffix in safetensors_file.PICKLE_SUFFIXES:
        raise ConfigError(f"{out} is a file", do="name a folder, or a file that ends in .safetensors")
    if (out / CONFIG).exists() and not (out / WEIGHTS).exists():
        raise ConfigError(f"{out} holds a config.json of something else", do="choose another --out")


def _folder_code(weights: Exported, library: str, out: Path) -> list[str]:
    if library == "timm":
        return [f"timm.create_model({f'local-dir:{out}'!r}, pretrained=True)"]
    return [f"transformers.{auto_class(weights.network.head)}.from_pretrained({str(out)!r})"]


def _file_code(weights: Exported, library: str, out: Path) -> list[str]:
    """Returns the code that loads a file into a stock model; none if the library has no such model."""
    call = stock_call(weights.network, library, weights.normalization)
    if not call:
        return []
    return [
        "from safetensors.torch import load_file",
        f"model = {call}",
        f"model.load_state_dict(load_file({str(out)!r}), strict=True)",
    ]


def _write_json(path: Path, content: Mapping[str, JsonValue]) -> None:
    try:
        with replacing(path) as temporary:
            temporary.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    except OSError as error:
        raise StorageError(f"cannot write {path}: {error}", do="choose an --out that you may write") from error
