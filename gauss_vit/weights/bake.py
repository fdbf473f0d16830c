"""Position biases into plain tables, which stock timm and Swin have, and tables into a Gaussian and a rest.

Baking is exact: every bias is a table over offsets, and their sum is one, too. Nothing is dropped.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PyTree

from gauss_vit.errors import ConfigError
from gauss_vit.models.attention import AttentionConfig
from gauss_vit.models.swin import SwinConfig
from gauss_vit.models.vit import ViTConfig
from gauss_vit.position import term
from gauss_vit.position.gaussian import Gaussian
from gauss_vit.position.gaussian_split import split_gaussian
from gauss_vit.position.relative import RelativeTable
from gauss_vit.tree import flatten_paths, unflatten_paths
from gauss_vit.weights.name_tables import ModelConfig

_SHARED = "backbone.shared_bias"


@dataclass(frozen=True, kw_only=True)
class _Site:
    """Attention layers of one shape, whose parameters are stacked.

    Attributes:
      path: of their position biases.
      attention: their config.
    """

    path: str
    attention: AttentionConfig


def bake(config: ModelConfig, params: PyTree) -> tuple[ModelConfig, PyTree]:
    """Turns all position biases of every block into one table that computes the same.

    Args:
      config: of a model with a Gaussian, a relative MLP, a relative table, or a sum of them.
      params: its parameters.

    Returns:
      The config of a model with a `RelativeTable` alone, which has rows for prefix tokens where there are any, and its
      parameters. A bias that all blocks share stays shared if it is the only one. A model without a bias stays as it
      is.

    Raises:
      ConfigError: the attention is of cosines (SwinV2): stock files of it hold the network that makes the bias, so no
        stock model could take the table.
    """
    if config.relative is None and config.gaussian is None:
        return config, params
    if isinstance(config, SwinConfig) and config.similarity == "cosine":
        raise ConfigError(
            "a SwinV2 has no place for a table: its stock files hold the network whose output, 16 sigmoid(MLP), is the "
            "bias, and no such network gives the sum with a Gaussian exactly",
            do="convert a model without the Gaussian, or bake it into a Swin or a relative-position ViT",
        )
    stays_shared = isinstance(config, ViTConfig) and config.shares_relative and config.gaussian is None
    baked = _with_table(config, shares_relative=stays_shared)
    leaves = flatten_paths(params)
    kept = {path: leaf for path, leaf in leaves.items() if not any(path.startswith(f"{at}.") for at in _places(config))}
    shared = _shared_table(config, leaves)
    if stays_shared and shared is not None:
        return baked, unflatten_paths(kept | _table_leaves(_SHARED, shared, None, has_prefix=_has_prefix(baked)))
    for site in _sites(config):
        tables, prefix = _of_site(site, _subtree(leaves, site.path), shared)
        kept |= _table_leaves(site.path, tables, prefix, has_prefix=_has_prefix(baked))
    return baked, unflatten_paths(kept)


def unbake(config: ModelConfig, params: PyTree, gaussian: Gaussian) -> tuple[ModelConfig, PyTree]:
    """Takes a Gaussian out of the relative tables of every block, as a start for training both; computes the same.

    Args:
      config: of a model whose position bias is a `RelativeTable` of its own in every block.
      params: its parameters.
      gaussian: the variant to fit.

    Raises:
      ConfigError: the model has another position bias; `bake` gives one that fits.
    """
    is_shared = isinstance(config, ViTConfig) and config.shares_relative
    if not isinstance(config.relative, RelativeTable) or config.gaussian is not None or is_shared:
        raise ConfigError("only tables that every block has for itself can be split", do="bake the model first")
    leaves = flatten_paths(params)
    for site in _sites(replace(config, gaussian=gaussian)):
        site_gaussian = next(each for each in site.attention.terms if isinstance(each, Gaussian))
        tables, prefix = _of_site(replace(site, attention=_alone(site)), _subtree(leaves, site.path), None)
        split = split_gaussian(np.asarray(tables), site_gaussian, grid=site.attention.grid)
        leaves |= _table_leaves(site.path, split.residual, prefix, has_prefix=config.relative.has_prefix)
        leaves |= {f"{site.path}.gaussian.{name}": value for name, value in split.params.items()}
    return replace(config, gaussian=gaussian), unflatten_paths(leaves)


def _alone(site: _Site) -> AttentionConfig:
    """The attention with its table but without its Gaussian."""
    return replace(site.attention, terms=site.attention.terms[:1])


def _with_table(config: ModelConfig, *, shares_relative: bool) -> ModelConfig:
    if isinstance(config, SwinConfig):
        return replace(config, relative=RelativeTable(), gaussian=None)
    relative = RelativeTable(has_prefix=config.prefix_tokens > 0)
    return replace(config, relative=relative, gaussian=None, shares_relative=shares_relative)


def _has_prefix(config: ModelConfig) -> bool:
    return isinstance(config.relative, RelativeTable) and config.relative.has_prefix


def _sites(config: ModelConfig) -> tuple[_Site, ...]:
    """Lists where a model has position biases of its own in the blocks."""
    match config:
        case ViTConfig():
            return (_Site(path="backbone.blocks.attention.bias", attention=config.block().attention),)
        case SwinConfig():
            return tuple(
                _Site(
                    path=f"backbone.stages.{index}.blocks.attention.bias", attention=config.stage(index).block.attention
                )
                for index in range(len(config.depths))
            )


def _places(config: ModelConfig) -> tuple[str, ...]:
    return (_SHARED, *(site.path for site in _sites(config)))


def _subtree(leaves: Mapping[str, Array], path: str) -> dict[str, dict[str, Array]]:
    """Gives the parameters of the terms at a path, by term and name."""
    start = f"{path}."
    return unflatten_paths({name.removeprefix(start): leaf for name, leaf in leaves.items() if name.startswith(start)})


def _shared_table(config: ModelConfig, leaves: Mapping[str, Array]) -> Float[Array, "heads dy dx"] | None:
    """Computes the table that serves all blocks, for every head, or None."""
    if isinstance(config, SwinConfig) or not config.shared_terms:
        return None
    table = term.table(config.shared_terms, _subtree(leaves, _SHARED), config.grid)
    return jnp.broadcast_to(table, (config.num_heads, *table.shape[1:]))


def _of_site(
    site: _Site, params: Mapping[str, Mapping[str, Array]], shared: Float[Array, "heads dy dx"] | None
) -> tuple[Float[Array, "depth heads dy dx"], Float[Array, "depth heads 3"] | None]:
    """Sums the biases of every block, for every head; the second result is that of prefix tokens."""
    attention = site.attention

    def of_layer(layer: PyTree) -> tuple[Array, Array | None]:
        parts = term.tables(attention.terms, layer, attention.grid)
        if shared is not None:
            parts = {**parts, "shared": shared}
        return term.add(parts, attention.grid), term.prefix(attention.terms, layer)

    tables, prefix = jax.vmap(of_layer)(jax.tree.map(jnp.asarray, params))
    return jnp.broadcast_to(tables, (tables.shape[0], attention.num_heads, *tables.shape[2:])), prefix


def _table_leaves(
    path: str,
    tables: Float[Array, "*depth heads dy dx"],
    prefix: Float[Array, "*depth heads 3"] | None,
    *,
    has_prefix: bool,
) -> dict[str, Array]:
    """Gives tables as the parameters of a `RelativeTable`; prefix tokens without a bias get zeros."""
    if not has_prefix:
        return {f"{path}.relative.table": tables}
    flat = tables.reshape(*tables.shape[:-2], -1)
    rows = jnp.zeros((*flat.shape[:-1], 3), jnp.float32) if prefix is None else prefix
    return {f"{path}.relative.table_and_prefix": jnp.concatenate([flat, rows], axis=-1)}
