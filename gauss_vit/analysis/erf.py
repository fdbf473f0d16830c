"""Effective receptive fields: where in the image the features of a token respond to the pixels.

For a target token n of a feature map y, and the readout r of a protocol (the channel mean, in the paper),

    G_i = mean over RGB of d r(y_i[n]) / d image_i,    R = sum over images i of ReLU(G_i),    ERF = R / sum(R)

ReLU acts on each image by itself, so a batch gives the same as its images one by one as long as the model does not mix
images (no batch statistics). Gradients are with respect to the normalised image.

The model is any function `features: images -> feature map`. Give it as `jax.tree_util.Partial(function, params)` and
the weights are arguments of the compiled step: changed weights do not recompile it. A plain function works as well,
with its weights compiled in. One forward pass serves all target tokens of a batch, or on a CPU of a micro-batch
(`analysis.microbatches`). Inputs may be sharded over their batch axis.

A single token costs less if the function is an `analysis.gradient.TokenReader`.

    total = accumulate(features, batches, tokens=(center_token((14, 14)),))
    (result,) = total.maps()

A sum is a value: save it, read it back and pass it as `start` to resume, or add the sums of several processes.

Source: Kim et al., BMVC 2023, section 2; Luo et al., "Understanding the Effective Receptive Field", NeurIPS 2016.
"""

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from itertools import chain

import jax
import jax.numpy as jnp
import numpy as np
from jax.tree_util import Partial
from jaxtyping import Array, Float, Float64, PyTree, Shaped

from gauss_vit.analysis.gradient import (
    ErfBatch,
    FeatureFunction,
    as_partial,
    gradient_norms,
    token_maps,
    token_sums,
)
from gauss_vit.analysis.layout import check_images, declared_grid, grid_of, on_grid
from gauss_vit.analysis.microbatches import microbatches_of
from gauss_vit.analysis.protocol import BMVC2023, ErfProtocol
from gauss_vit.analysis.token import Token, check_token
from gauss_vit.errors import ConfigError
from gauss_vit.ops.grid import Grid


@dataclass(frozen=True, kw_only=True)
class ErfMap:
    """The effective receptive field of one token.

    Attributes:
      values: float64 [height, width] of the image in pixels, not negative, with sum 1.
      magnitude: sum over pixels of the mean map over images; `magnitude * values` is that mean map.
      num_images: number of images that are averaged.
      token: (row, column) of the target.
      grid: (height, width) of the feature map.
      protocol: definition of the field.
    """

    values: Float64[np.ndarray, "height width"]
    magnitude: float
    num_images: int
    token: Token
    grid: Grid
    protocol: ErfProtocol


@dataclass(frozen=True, kw_only=True)
class ErfSum:
    """A running sum over images; `+` adds two.

    Attributes:
      values: float64 [tokens, height, width], sum of the rectified gradients.
      groups: float64 [groups, tokens, height, width], the same sum split into groups, to which images are assigned in
        turn, for confidence bands (`analysis.bootstrap`); None for no bands.
      num_images: number of images that were added.
      tokens: target of each map.
      grid: (height, width) of the feature map.
      protocol: definition of the field.
    """

    values: Float64[np.ndarray, "tokens height width"]
    groups: Float64[np.ndarray, "groups tokens height width"] | None
    num_images: int
    tokens: tuple[Token, ...]
    grid: Grid
    protocol: ErfProtocol

    def __add__(self, other: "ErfSum") -> "ErfSum":
        """Adds sums over different images.

        Raises:
          ConfigError: they measure different things.
        """
        for name in ("tokens", "grid", "protocol"):
            if vars(self)[name] != vars(other)[name]:
                raise ConfigError(
                    f"receptive fields with {name} {vars(self)[name]} and {vars(other)[name]} cannot be added",
                    code="ERF-MERGE",
                )
        if self._shapes() != other._shapes():
            raise ConfigError(
                f"receptive fields of shapes {self._shapes()} and {other._shapes()} cannot be added", code="ERF-MERGE"
            )
        groups = None if self.groups is None or other.groups is None else self.groups + other.groups
        return replace(
            self, values=self.values + other.values, groups=groups, num_images=self.num_images + other.num_images
        )

    def _shapes(self) -> tuple[tuple[int, ...], tuple[int, ...] | None]:
        return self.values.shape, None if self.groups is None else self.groups.shape

    def maps(self) -> tuple[ErfMap, ...]:
        """Divides each map by its sum.

        Raises:
          ConfigError: a map has no positive gradient anywhere.
        """
        for token, total in zip(self.tokens, self.values.sum(axis=(1, 2)), strict=True):
            if not total > 0:
                raise _empty(token, self.num_images)
        return tuple(
            ErfMap(
                values=values / values.sum(),
                magnitude=float(values.sum() / self.num_images),
                num_images=self.num_images,
                token=token,
                grid=self.grid,
                protocol=self.protocol,
            )
            for token, values in zip(self.tokens, self.values, strict=True)
        )


def batch_of(images: Float[Array | np.ndarray, "batch height width 3"]) -> ErfBatch:
    """Returns a batch without padding."""
    return ErfBatch(image=jnp.asarray(images), is_real=jnp.ones(images.shape[:1], jnp.bool_))


def feature_grid(features: FeatureFunction, image_size: Grid) -> Grid:
    """Infers the (height, width) of a feature map for images of (height, width) pixels, without computing it.

    Raises:
      ArrayError: the function does not return a map [batch, rows, columns, channels].
    """
    images = jax.ShapeDtypeStruct((1, *image_size, 3), jnp.float32)
    return grid_of(_abstract_map(features, images), image_size, grid=declared_grid(features))


@jax.jit
def _feature_map(features: Partial, images: Float[Array, "batch height width 3"]) -> PyTree:
    return features(images)


def _abstract_map(
    features: FeatureFunction, images: Float[Array | np.ndarray, "batch height width 3"] | jax.ShapeDtypeStruct
) -> jax.ShapeDtypeStruct:
    """Infers the shape and type of a feature map; equal shapes are traced once."""
    return jax.eval_shape(_feature_map, as_partial(features), images)


def begin(
    features: FeatureFunction,
    batch: ErfBatch,
    *,
    tokens: tuple[Token, ...],
    protocol: ErfProtocol = BMVC2023,
    num_groups: int = 0,
) -> ErfSum:
    """Returns an empty sum, after checking that the measurement is defined.

    Args:
      features: the model up to the target layer.
      batch: images, such as the first batch, of which the first is used for the checks; none is added.
      tokens: target patches.
      protocol: definition of the field.
      num_groups: number of groups of images; 0 for none. Each takes the memory of all maps, in float64.

    Raises:
      ArrayError: the images or the feature map have another layout.
      ConfigError: there is no token, one lies outside the grid, or the target is degenerate (`check_target`).
    """
    check_images(batch.image)
    grid = grid_of(_abstract_map(features, batch.image), batch.image.shape[1:3], grid=declared_grid(features))
    if not tokens:
        raise ConfigError("no target token is given", do="give one, such as center", code="ERF-TOKEN")
    for token in tokens:
        check_token(token, grid)
    first = ErfBatch(image=batch.image[:1], is_real=batch.is_real[:1])
    one, model = _on_one_device((first, as_partial(features)))
    check_target(model, one, token=tokens[0], protocol=protocol)
    shape = (len(tokens), *batch.image.shape[1:3])
    groups = np.zeros((num_groups, *shape), np.float64) if num_groups else None
    return ErfSum(
        values=np.zeros(shape, np.float64), groups=groups, num_images=0, tokens=tokens, grid=grid, protocol=protocol
    )


def add(total: ErfSum, features: FeatureFunction, batch: ErfBatch) -> ErfSum:
    """Adds a batch to a sum; sums are float64 on the host.

    Raises:
      ConfigError: a gradient is not finite, or no pixel of any image so far raises any token.
    """
    positions = jnp.asarray(total.tokens, jnp.int32)
    run = token_sums if total.groups is None else token_maps
    microbatches = microbatches_of(batch.image)
    result = run(as_partial(features), batch, positions, protocol=total.protocol, microbatches=microbatches)
    (found, is_finite), is_real = jax.device_get((result, batch.is_real))
    _check_finite(bool(is_finite.all()), total.num_images)
    num_images = total.num_images + int(is_real.sum())
    if num_images and not found.any() and not total.values.any():
        raise _empty(total.tokens[0], num_images)
    if total.groups is None:
        return replace(total, values=total.values + found, num_images=num_images)
    maps = found[:, is_real].swapaxes(0, 1).astype(np.float64)
    groups = _add_in_turn(total.groups, maps, turn=total.num_images)
    return replace(total, values=total.values + maps.sum(axis=0), groups=groups, num_images=num_images)


def accumulate(
    features: FeatureFunction,
    batches: Iterable[ErfBatch],
    *,
    tokens: tuple[Token, ...],
    protocol: ErfProtocol = BMVC2023,
    start: ErfSum | None = None,
    num_groups: int = 0,
) -> ErfSum:
    """Sums the rectified gradients of all batches, for every target token.

    Args:
      features: the model up to the target layer.
      batches: images; equal shapes are compiled once.
      tokens: target patches as (row, column).
      protocol: definition of the field.
      start: a sum to resume from, whose images are not in `batches`.
      num_groups: number of groups of images for confidence bands; 0 for none.

    Raises:
      ConfigError: there are no images, a token lies outside the grid, the target is degenerate (`check_target`), a
        gradient is not finite, or `start` measures something else.
    """
    remaining = iter(batches)
    first = next(remaining, None)
    if first is None:
        if start is None:
            raise ConfigError("there are no images to measure on", do="give at least one", code="ERF-NO-IMAGES")
        return start
    empty = begin(features, first, tokens=tokens, protocol=protocol, num_groups=num_groups)
    total = empty if start is None else start + empty
    for batch in chain([first], remaining):
        total = add(total, features, batch)
    return total


def receptive_field(
    features: Callable[[Array], Array],
    images: Shaped[Array | np.ndarray, "..."],
    *,
    token: Token | Callable[[Grid], Token] | None = None,
    protocol: ErfProtocol = BMVC2023,
    grid: Grid | None = None,
    num_prefix_tokens: int = 0,
) -> ErfMap:
    """Measures one token, the central one by default, on one batch of normalised images.

    Args:
      features: the model up to the target layer: images to a feature map [batch, rows, columns, channels], or to tokens
        [batch, tokens, channels].
      images: normalised images, float [batch, height, width, 3].
      token: target patch as (row, column), or the function that finds it on a grid, such as `lower_center_token`, the
        rule of convolutional nets; None for the protocol's central one.
      protocol: definition of the field.
      grid: (rows, columns) of the patches, where the model returns tokens; it confirms the layout of a map.
      num_prefix_tokens: number of tokens before the patches, such as a class token.

    Raises:
      ArrayError: the images or what the model returns have another layout.
      ConfigError: as `accumulate`.

    >>> pool = lambda images: images.reshape(-1, 2, 4, 2, 4, 3).mean(axis=(2, 4))
    >>> receptive_field(pool, jnp.ones((1, 8, 8, 3), jnp.float32)).values[:4, :4].sum().item()
    1.0
    """
    check_images(images)
    batch = batch_of(images)
    maps = features if grid is None else on_grid(features, grid, num_prefix_tokens=num_prefix_tokens)
    shape = _abstract_map(maps, batch.image)
    found = grid_of(shape, batch.image.shape[1:3], grid=declared_grid(maps))
    if token is None or callable(token):
        token = (protocol.center if token is None else token)(found)
    (result,) = accumulate(maps, [batch], tokens=(token,), protocol=protocol).maps()
    return result


def check_target(features: FeatureFunction, batch: ErfBatch, *, token: Token, protocol: ErfProtocol = BMVC2023) -> None:
    """Checks that the readout of a token depends on the image by more than rounding.

    LayerNorm with a constant scale makes the channel mean of every token constant: the true gradient of that mean is
    zero, and the computed one is rounding noise, about eps times the gradients that cancel. Such noise is not small in
    any absolute sense (weights may have any scale), so it is compared with the gradient of a second readout of the same
    token that differs from the first only in random signs of its channel weights, half of them negative, and does not
    cancel. In general the two gradients have norms of the same order; a LayerNorm whose scales differ by a tenth gives
    about a tenth, and a degenerate target about eps. In between, at sqrt(eps) of the feature's type (3e-4 for float32),
    half of the digits of the gradient are lost to cancellation; below that the target is refused. A token whose
    gradients are both zero is refused too. Normalisation treats tokens alike, so one token is enough. Gradients are
    with respect to the images, or to the trunk of a `TokenReader` (`analysis.gradient`), which is assumed to depend on
    them: if it does not, `add` refuses the empty field.

    Raises:
      ConfigError: the target is degenerate, or a gradient is not finite.
    """
    position = jnp.asarray(token, jnp.int32)
    norms = gradient_norms(as_partial(features), batch, position, protocol=protocol)
    measured, probe = (float(norm) for norm in jax.device_get(norms))
    _check_finite(math.isfinite(measured) and math.isfinite(probe), 0)
    shape = _abstract_map(features, batch.image)
    if measured > float(jnp.finfo(shape.dtype).eps) ** 0.5 * probe:
        return
    if not probe:
        raise ConfigError(
            f"the readout of token {token} under protocol {protocol.name} does not depend on the image: its gradient is"
            " zero, and so is that of the same channels with random signs",
            do="look for weights that are zero or, with protocol replknet, for channels that are all negative",
            code="ERF-DEGENERATE",
        )
    raise ConfigError(
        f"protocol {protocol.name} is degenerate for this feature map: the gradient of the readout of token {token} has"
        f" norm {measured:.1e}, against {probe:.1e} for the same channels with random signs, so it is rounding noise"
        " (a LayerNorm with constant scale makes the mean of its channels constant)",
        do="measure before the last normalization (protocol pre_norm), or with protocol random_projection",
        code="ERF-DEGENERATE",
    )


def _on_one_device(values: PyTree) -> PyTree:
    """Moves arrays from several devices to this process's first one, which is faster for one image."""

    def moved(leaf: Array) -> Array:
        is_spread = isinstance(leaf, jax.Array) and len(leaf.sharding.device_set) > 1
        return jax.device_put(leaf, leaf.addressable_shards[0].device) if is_spread else leaf

    return jax.tree.map(moved, values)


def _add_in_turn(
    groups: Float64[np.ndarray, "groups tokens height width"],
    maps: Float64[np.ndarray, "images tokens height width"],
    *,
    turn: int,
) -> Float64[np.ndarray, "groups tokens height width"]:
    """Adds maps to groups in turn, the first one to group `turn` modulo their number."""
    sums = groups.copy()
    for index, image_maps in enumerate(maps, start=turn):
        sums[index % len(sums)] += image_maps
    return sums


def _empty(token: Token, num_images: int) -> ConfigError:
    return ConfigError(
        f"no pixel of {num_images} images raises token {token}: its receptive field is empty",
        do="look for weights that are all zero, or measure another layer or more images",
        code="ERF-EMPTY",
    )


def _check_finite(is_finite: bool, num_images: int) -> None:
    if not is_finite:
        raise ConfigError(
            f"a gradient is not finite after {num_images} images",
            do="check the weights and run the model in float32",
            code="ERF-NOT-FINITE",
        )
