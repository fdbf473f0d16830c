"""Imported weights whose relative tables are split into a Gaussian and a rest."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import PyTree

from gauss_vit.models.backbone import BackboneConfig
from gauss_vit.position.terms.gaussian import Gaussian
from gauss_vit.tree import flatten_paths
from gauss_vit.weights.bake import unbake
from gauss_vit.weights.baked_gaussian import BakedGaussian, baked_gaussian
from gauss_vit.weights.bias_sites import bias_sites
from gauss_vit.weights.pretrained import Imported
from gauss_vit.weights.published import Published
from gauss_vit.weights.safetensors_file import open_weights

_TABLE = ".relative.table"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Unbaked:
    """Weights with a Gaussian of their own.

    Attributes:
      config: Config of the backbone, with a table and a Gaussian in every block.
      imported: The weights.
      line: How the Gaussian was found, for a user.
    """

    config: BackboneConfig
    imported: Imported
    line: str


def recorded_gaussian(found: Published, config: BackboneConfig, *, wanted: Gaussian | None) -> BakedGaussian | None:
    """Reads the Gaussian that a file says it was baked with; None if it does not, or if another kind is wanted.

    Args:
      found: The weights.
      config: Config of the backbone that they are read for.
      wanted: The Gaussian of a config; None takes any.
    """
    recorded = baked_gaussian(open_weights(found.path).metadata, config)
    if recorded is None or wanted is None:
        return recorded
    return recorded if _kind(recorded.term) == _kind(wanted) else None


def _kind(term: Gaussian) -> tuple[object, ...]:
    return term.per_head, term.anisotropic, term.unit, term.image


def with_gaussian(
    config: BackboneConfig, imported: Imported, gaussian: Gaussian, recorded: BakedGaussian | None
) -> Unbaked:
    """Splits the tables of imported weights.

    Args:
      config: Config of a backbone with a table in every block.
      imported: Its weights.
      gaussian: Variant of the Gaussian.
      recorded: The Gaussian that the file says it was baked with; None fits one.

    Raises:
      ConfigError: the backbone has another position bias.
    """
    known = None if recorded is None else recorded.params
    both, split = unbake(config, jax.tree.map(jnp.asarray, imported.params), gaussian, known=known)
    params = jax.tree.map(np.asarray, split)
    line = _line(both, imported.params, params, is_known=known is not None)
    return Unbaked(config=both, imported=dataclasses.replace(imported, params=params), line=line)


def _line(config: BackboneConfig, before: PyTree, after: PyTree, *, is_known: bool) -> str:
    """Says what the Gaussian is, and how it was found."""
    leaves = flatten_paths(after)
    sites = [site for site in bias_sites(config) if site.depth is not None]
    amplitude, sigma = (
        np.concatenate([np.abs(np.asarray(leaves[f"{site.path}.gaussian.{name}"])).ravel() for site in sites]).mean()
        for name in ("amplitude", "sigma")
    )
    means = f"amplitude {amplitude:.3f} and sigma {sigma:.3f} in the mean"
    if is_known:
        return f"the Gaussian is split off as it was baked, {means}"
    share = np.median(_explained(flatten_paths(before), leaves))
    return (
        f"the file does not say which Gaussian was baked into it: one is fitted to every block, {means}; "
        f"it explains {100 * share:.1f} % of the variance of the tables in the median"
    )


def _explained(before: dict[str, PyTree], after: dict[str, PyTree]) -> np.ndarray:
    """Computes for every block the share of its table's variance that the rest lacks."""
    shares = []
    for path in (path for path in before if _TABLE in path):
        whole, rest = (np.asarray(leaves[path], np.float64) for leaves in (before, after))
        whole, rest = (table.reshape(table.shape[0], -1) for table in (whole, rest))
        shares.append(1 - rest.var(axis=1) / np.maximum(whole.var(axis=1), 1e-30))
    return np.concatenate(shares)
