"""Bakes position biases into plain tables, which stock timm models have, and splits tables into a Gaussian and a rest.

Baking is exact: every bias is a table over offsets, and so is their sum.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PyTree

from gauss_vit.errors import ConfigError
from gauss_vit.models.backbone import BackboneConfig
from gauss_vit.models.stage import SHARED_BIAS
from gauss_vit.position import term
from gauss_vit.position.gaussian_split import split_gaussian, without_gaussian
from gauss_vit.position.position import with_terms
from gauss_vit.position.term import BiasTerm
from gauss_vit.position.terms.gaussian import Gaussian
from gauss_vit.position.terms.relative import RelativeTable, has_masked_offsets
from gauss_vit.tree import flatten_paths, subtree, unflatten_paths
from gauss_vit.weights.bias_sites import BiasSite, bias_sites

Config = TypeVar("Config", bound=BackboneConfig)

KnownParams = Mapping[str, Mapping[str, Float[np.ndarray, "..."]]]
"""Parameters of a term by the path of the blocks' position terms, stacked over blocks."""


def bake(config: Config, params: PyTree) -> tuple[Config, PyTree]:
    """Replaces all position biases of every block by one equivalent table.

    Args:
      config: Config of a backbone with any position terms, per block or shared.
      params: Parameters of its network.

    Returns:
      The config of a backbone whose only term is a `RelativeTable`, which has rows for prefix tokens if there are any,
      and its parameters. A bias that all blocks share stays shared if no block has one of its own and there are no
      prefix tokens. A backbone without a bias does not change.

    Raises:
      ConfigError: the backbone has cosine attention (SwinV2): stock files hold the network that computes the bias, so
        no stock model could take the table.
    """
    position = config.position
    if not position.all_terms:
        return config, params
    stages = config.stages()
    if any(stage.attention is not None and stage.attention.similarity == "cosine" for stage in stages):
        raise ConfigError(
            "a SwinV2 has no place for a table: its stock files hold the network whose output is the bias, and no such "
            "network gives the sum with another term exactly",
            do="convert a model without the Gaussian, or bake it into a Swin or a relative-position ViT",
        )
    table = RelativeTable(has_prefix=any(stage.prefix_tokens > 0 for stage in stages))
    leaves = flatten_paths(params)
    sites = bias_sites(config)
    kept = {path: leaf for path, leaf in leaves.items() if not any(path.startswith(f"{each.path}.") for each in sites)}
    shared_site = next((site for site in sites if site.depth is None), None)
    shared = _shared_table(shared_site, leaves)
    if shared is not None and not position.terms and not table.has_prefix:
        kept |= _table_leaves(SHARED_BIAS, shared, None, has_prefix=False)
        return replace(config, position=replace(position, shared=(table,))), unflatten_paths(kept)
    for site in sites:
        if site is not shared_site:
            tables, prefix = _sums(site, subtree(leaves, site.path), shared, site.terms)
            kept |= _table_leaves(site.path, tables, prefix, has_prefix=table.has_prefix)
    return replace(config, position=replace(position, terms=(table,), shared=())), unflatten_paths(kept)


def with_table(config: Config) -> Config:
    """Returns a backbone with a separate table in every block in place of its position biases, as `bake` makes it.

    Raises:
      ConfigError: it has no position bias, or cosine attention (SwinV2).
    """
    stages = config.stages()
    if not config.has_position_bias or any(
        stage.attention is not None and stage.attention.similarity == "cosine" for stage in stages
    ):
        raise ConfigError(
            "the model has no relative tables that a Gaussian could be split off",
            do="choose a ViT with relative positions, BEiT, or a Swin of the first version",
        )
    table = RelativeTable(has_prefix=any(stage.prefix_tokens > 0 for stage in stages))
    return replace(config, position=replace(config.position, terms=(table,), shared=()))


def unbake(
    config: Config,
    params: PyTree,
    gaussian: Gaussian,
    *,
    known: KnownParams | None = None,
) -> tuple[Config, PyTree]:
    """Splits the relative table of every block into a Gaussian and a rest with the same sum, to train both.

    Args:
      config: Config of a backbone whose only position bias is a separate `RelativeTable` in every block.
      params: Parameters of its network.
      gaussian: Variant of the Gaussian.
      known: Its parameters, by the path of the blocks' position terms; None fits them by least squares.

    Raises:
      ConfigError: the backbone has another position bias, and `bake` returns one that can be split; or a table has
        masked offsets.
    """
    match config.position.terms:
        case (RelativeTable() as table,) if not config.position.shared:
            pass
        case _:
            raise ConfigError("only tables that every block has for itself can be split", do="bake the model first")
    both = with_terms(config, gaussian)
    leaves = flatten_paths(params)
    for site in (site for site in bias_sites(both) if site.depth is not None):
        fitted = next(each for each in site.terms if isinstance(each, Gaussian))
        tables, prefix = _sums(site, subtree(leaves, site.path), None, (table,))
        if has_masked_offsets(np.asarray(tables)):
            raise ConfigError(
                "a table with masked offsets cannot be split into a Gaussian and a rest",
                do="load the weights without splitting them",
            )
        split = (
            split_gaussian(np.asarray(tables), fitted, grid=site.grid)
            if known is None
            else without_gaussian(tables, fitted, jax.tree.map(jnp.asarray, dict(known[site.path])), grid=site.grid)
        )
        leaves |= _table_leaves(site.path, split.residual, prefix, has_prefix=table.has_prefix)
        leaves |= site.paths(fitted, split.params)
    return both, unflatten_paths(leaves)


def _shared_table(site: BiasSite | None, leaves: Mapping[str, Array]) -> Float[Array, "heads dy dx"] | None:
    """Computes the table that all blocks share, for every head; None if they share none."""
    if site is None or not site.terms:
        return None
    table = term.table(site.terms, subtree(leaves, site.path), site.grid)
    return jnp.broadcast_to(table, (site.num_heads, *table.shape[1:]))


def _sums(
    site: BiasSite,
    params: Mapping[str, Mapping[str, Array]],
    shared: Float[Array, "heads dy dx"] | None,
    terms: tuple[BiasTerm, ...],
) -> tuple[Float[Array, "depth heads dy dx"], Float[Array, "depth heads 3"] | None]:
    """Sums the biases of every block, for every head; the second result is the bias of prefix tokens."""

    def of_layer(layer: PyTree) -> tuple[Array, Array | None]:
        parts = term.tables(terms, layer, site.grid)
        if shared is not None:
            parts = {**parts, "shared": shared}
        return term.add(parts, site.grid), term.prefix(terms, layer)

    tables, prefix = jax.vmap(of_layer, axis_size=site.depth)(jax.tree.map(jnp.asarray, params))
    return jnp.broadcast_to(tables, (tables.shape[0], site.num_heads, *tables.shape[2:])), prefix


def _table_leaves(
    path: str,
    tables: Float[Array, "*depth heads dy dx"],
    prefix: Float[Array, "*depth heads 3"] | None,
    *,
    has_prefix: bool,
) -> dict[str, Array]:
    """Returns tables as the parameters of a `RelativeTable`; prefix tokens without a bias get zeros."""
    if not has_prefix:
        return {f"{path}.relative.table": tables}
    flat = tables.reshape(*tables.shape[:-2], -1)
    rows = jnp.zeros((*flat.shape[:-1], 3), jnp.float32) if prefix is None else prefix
    return {f"{path}.relative.table_and_prefix": jnp.concatenate([flat, rows], axis=-1)}
