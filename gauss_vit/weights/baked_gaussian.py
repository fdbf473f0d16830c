"""The Gaussian that was baked into the tables of a weight file, as the file's header records it."""

import json
from collections.abc import Mapping
from dataclasses import dataclass

import jax
import numpy as np
from jaxtyping import Float, PyTree

from gauss_vit.config import schema
from gauss_vit.errors import ConfigError
from gauss_vit.models.backbone import BackboneConfig
from gauss_vit.position.terms.gaussian import Gaussian
from gauss_vit.tree import flatten_paths
from gauss_vit.weights.bias_sites import bias_sites

_GAUSSIAN = "baked_gaussian"
_MOST_CHARACTERS = 10_000_000


@dataclass(frozen=True, kw_only=True)
class BakedGaussian:
    """A Gaussian with its learned parameters.

    Attributes:
      term: The term; its initial values mean nothing here.
      params: `amplitude` and `sigma` by the path of the blocks' position terms, stacked over blocks.
    """

    term: Gaussian
    params: Mapping[str, Mapping[str, Float[np.ndarray, "..."]]]


def gaussian_of(config: BackboneConfig, params: PyTree) -> BakedGaussian | None:
    """Reads the Gaussian of every block; None if there is none, or if one serves all blocks.

    Args:
      config: Config of a backbone.
      params: Parameters of its network.
    """
    term = next((each for each in config.position.terms if isinstance(each, Gaussian)), None)
    if term is None or any(isinstance(each, Gaussian) for each in config.position.shared):
        return None
    leaves = flatten_paths(jax.device_get(params))
    sites = [site for site in bias_sites(config) if site.depth is not None]
    return BakedGaussian(term=term, params={site.path: site.owned(term, leaves) for site in sites})


def to_metadata(baked: BakedGaussian) -> dict[str, str]:
    """Encodes a Gaussian as a JSON text by name; its float32 numbers are read back as they were."""
    values = {
        "term": schema.encode(baked.term, Gaussian),
        "params": {
            path: {name: np.asarray(leaf, np.float64).tolist() for name, leaf in leaves.items()}
            for path, leaves in baked.params.items()
        },
    }
    return {_GAUSSIAN: json.dumps(values)}


def baked_gaussian(metadata: Mapping[str, str], config: BackboneConfig) -> BakedGaussian | None:
    """Reads the Gaussian from a file's header; None where it says nothing, or nothing that fits the backbone.

    Args:
      metadata: Texts of the header.
      config: Config of the backbone that the file is read for, with any position terms.
    """
    text = metadata.get(_GAUSSIAN, "")
    try:
        content = json.loads(text) if 0 < len(text) <= _MOST_CHARACTERS else None
        if not isinstance(content, dict) or not isinstance(content.get("params"), dict):
            return None
        term = schema.conform(content.get("term"), Gaussian)
        params = {path: _leaves(leaves) for path, leaves in content["params"].items()}
    except (ValueError, TypeError, RecursionError, ConfigError, schema.MismatchError):
        return None
    known = isinstance(term, Gaussian) and _fits(params, term, config)
    return BakedGaussian(term=term, params=params) if known and isinstance(term, Gaussian) else None


def _leaves(content: object) -> dict[str, Float[np.ndarray, "..."]]:
    """Reads numbers by name.

    Raises:
      ValueError: it is something else.
    """
    if not isinstance(content, dict):
        raise ValueError("expected numbers by name")
    return {str(name): np.asarray(value, np.float32) for name, value in content.items()}


def _fits(params: Mapping[str, Mapping[str, Float[np.ndarray, "..."]]], term: Gaussian, config: BackboneConfig) -> bool:
    """Returns whether every block of a backbone has finite numbers of the right shape."""
    sites = {site.path: site for site in bias_sites(config) if site.depth is not None}
    if params.keys() != sites.keys():
        return False
    for path, site in sites.items():
        shape = (site.depth, site.num_heads if term.per_head else 1)
        sigma = (site.depth, 2, shape[1]) if term.anisotropic else shape
        wanted = {"amplitude": shape, "sigma": sigma}
        if {name: leaf.shape for name, leaf in params[path].items()} != wanted:
            return False
        if not all(np.isfinite(leaf).all() for leaf in params[path].values()):
            return False
    return True
