"""A model as a serialised StableHLO program: bytes of RGB images in, logits out, for any number of images."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import jax
import jax.numpy as jnp
from flax import nnx
from jax import export
from jaxtyping import Array, PyTree, UInt8

from gauss_vit.errors import ConfigError, StorageError
from gauss_vit.files import replacing
from gauss_vit.heads.network import NetworkConfig
from gauss_vit.models.construct import abstract
from gauss_vit.ops.pixel_normalization import Normalization

PLATFORMS = ("cpu", "cuda", "rocm", "tpu")
"""Platforms that a program can be compiled for, by JAX's names."""


def program(
    network: NetworkConfig, params: PyTree, *, normalization: Normalization, platforms: Sequence[str]
) -> export.Exported:
    """Exports a network with its parameters as constants.

    The program takes images as uint8 [batch, height, width, 3], already resized and cropped, and normalises them. It
    returns the outputs of the head: logits, or where there are several a dict by name.

    Args:
      network: Config of the network.
      params: Its parameters, a nested dict.
      normalization: Normalisation of the images' bytes.
      platforms: Platforms that the program can run on.

    Raises:
      ConfigError: a platform is unknown.
    """
    unknown = [name for name in platforms if name not in PLATFORMS]
    if unknown or not platforms:
        raise ConfigError(f"unknown platform {', '.join(unknown)!r}", do=f"use some of {','.join(PLATFORMS)}")
    portable = _portable(network)
    graph = abstract(portable)[0]

    def outputs(images: UInt8[Array, "batch height width 3"]) -> PyTree:
        found = nnx.merge(graph, params)(normalization(images))
        # A program that others load knows no class of this package.
        return dict(vars(found)) if dataclasses.is_dataclass(found) else found

    (batch,) = export.symbolic_shape("batch")
    images = jax.ShapeDtypeStruct((batch, *network.backbone.image_size, 3), jnp.uint8)
    return export.export(jax.jit(outputs), platforms=tuple(platforms))(images)


def write_program(path: Path, exported: export.Exported) -> None:
    """Serialises a program to a file.

    Raises:
      StorageError: the file cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as temporary:
            temporary.write_bytes(exported.serialize())
    except OSError as error:
        raise StorageError(f"cannot write {path}: {error}", do="choose an --out that you may write") from error


def _portable(network: NetworkConfig) -> NetworkConfig:
    """Returns the network with the kernel that every platform has."""
    compute = dataclasses.replace(network.backbone.compute, kernel="reference", remat="none")
    return dataclasses.replace(network, backbone=dataclasses.replace(network.backbone, compute=compute))
