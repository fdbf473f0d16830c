"""Compiled gradients of a token's readout with respect to the images: the inner step of receptive fields."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Protocol, runtime_checkable

import jax
import jax.numpy as jnp
from jax.tree_util import Partial
from jaxtyping import Array, Bool, Float, Int32, PyTree

from gauss_vit.analysis.microbatches import WHOLE, MicroBatches
from gauss_vit.analysis.protocol import ErfProtocol, balanced_signs

FeatureFunction = Callable[[Float[Array, "batch height width 3"]], Float[Array, "batch rows columns channels"]]
Position = Int32[Array, "2"]


@jax.tree_util.register_dataclass
@dataclass(frozen=True, kw_only=True)
class ErfBatch:
    """Images to measure on.

    Attributes:
      image: float [batch, height, width, 3], normalised for the model.
      is_real: bool [batch], False for padding, which is not counted.
    """

    image: PyTree
    is_real: PyTree


@runtime_checkable
class TokenReader(Protocol):
    """A feature function of (parameters, images) that can compute one token of its map at less cost.

    It does so in two parts: the trunk, which all tokens share, and the rest, from there to the token.
    """

    def __call__(
        self, params: PyTree, images: Float[Array, "batch height width 3"]
    ) -> Float[Array, "batch rows columns channels"]:
        """Computes the feature map."""
        ...

    def trunk(self, params: PyTree, images: Float[Array, "batch height width 3"]) -> Float[Array, "batch ..."]:
        """Computes what all tokens share; the images themselves if they share nothing."""
        ...

    def at_token(
        self, params: PyTree, trunk: Float[Array, "batch ..."], position: Position
    ) -> Float[Array, "batch channels"]:
        """Computes the feature map at (row, column) alone."""
        ...


def as_partial(features: FeatureFunction) -> Partial:
    """Wraps a function as an argument of a compiled step: its arrays are traced, the rest is compared by identity."""
    return features if isinstance(features, Partial) else Partial(features)


@partial(jax.jit, static_argnames=("protocol", "microbatches"))
def token_sums(
    features: Partial,
    batch: ErfBatch,
    positions: Int32[Array, "tokens 2"],
    *,
    protocol: ErfProtocol,
    microbatches: MicroBatches = WHOLE,
) -> tuple[Float[Array, "tokens height width"], Bool[Array, " tokens"]]:
    """Sums the maps of the real images of a batch; also returns for which tokens all gradients are finite."""

    def of_microbatch(
        microbatch: ErfBatch,
    ) -> tuple[Float[Array, "tokens devices height width"], Bool[Array, "tokens devices"]]:
        map_of = _token_map(features, microbatch, protocol, num_tokens=len(positions))
        is_real = microbatches.by_device(microbatch.is_real)[:, :, None, None]

        def token_sum(position: Position) -> tuple[Float[Array, "devices height width"], Bool[Array, " devices"]]:
            maps, are_finite = map_of(position)
            return (
                jnp.sum(microbatches.by_device(maps), axis=1, where=is_real),
                jnp.all(microbatches.by_device(are_finite), axis=1),
            )

        return jax.lax.map(token_sum, positions)

    def add(total: PyTree, microbatch: ErfBatch) -> tuple[PyTree, None]:
        (sums, are_finite), (more, are_more_finite) = total, of_microbatch(microbatch)
        return (sums + more.astype(sums.dtype), are_finite & are_more_finite), None

    # Each device has its own sum, so that they synchronise once, not after every micro-batch.
    shape = (len(positions), microbatches.num_devices)
    start = _exact(jnp.zeros((*shape, *batch.image.shape[1:3]), batch.image.dtype)), jnp.ones(shape, jnp.bool_)
    (sums, are_finite), _ = jax.lax.scan(add, start, microbatches.split(batch))
    return jnp.sum(sums, axis=1), jnp.all(are_finite, axis=1)


@partial(jax.jit, static_argnames=("protocol", "microbatches"))
def token_maps(
    features: Partial,
    batch: ErfBatch,
    positions: Int32[Array, "tokens 2"],
    *,
    protocol: ErfProtocol,
    microbatches: MicroBatches = WHOLE,
) -> tuple[Float[Array, "tokens batch height width"], Bool[Array, " tokens"]]:
    """Computes the maps of every image of a batch; also returns for which tokens all gradients are finite."""

    def of_microbatch(
        microbatch: ErfBatch,
    ) -> tuple[Float[Array, "batch tokens height width"], Bool[Array, "tokens batch"]]:
        maps, are_finite = jax.lax.map(_token_map(features, microbatch, protocol, num_tokens=len(positions)), positions)
        return jnp.moveaxis(maps, 0, 1), are_finite

    maps, are_finite = jax.lax.map(of_microbatch, microbatches.split(batch))
    return jnp.moveaxis(microbatches.join(maps, num_images=len(batch.is_real)), 0, 1), jnp.all(are_finite, axis=(0, 2))


@partial(jax.jit, static_argnames=("protocol",))
def gradient_norms(
    features: Partial, batch: ErfBatch, position: Position, *, protocol: ErfProtocol
) -> tuple[Float[Array, ""], Float[Array, ""]]:
    """Computes the norms of the gradients of the readout and of the same readout with random signs, over real images.

    They are gradients with respect to the images, or to the trunk of a `TokenReader`, which saves most of the work:
    from there to the images both gradients have the same Jacobian.
    """
    if (reader := _reader(features, num_tokens=1)) is not None:
        (params,) = features.args
        trunk = reader.trunk(params, batch.image)
        channels, pull_back = jax.vjp(lambda values: _exact(reader.at_token(params, values, position)), trunk)
    else:
        channels, pull_back = jax.vjp(lambda images: _exact(features(images)[:, position[0], position[1]]), batch.image)
    weights = jax.grad(lambda values: jnp.sum(protocol.readouts[0](values)))(channels)
    weights = jnp.where(batch.is_real[:, None], weights, jnp.zeros_like(weights))
    signs = jnp.asarray(balanced_signs(weights.shape[-1]), weights.dtype)
    measured, probe = (_exact(pull_back(given)[0]) for given in (weights, weights * signs[None, :]))
    return jnp.linalg.norm(measured), jnp.linalg.norm(probe)


def _token_map(
    features: Partial, batch: ErfBatch, protocol: ErfProtocol, *, num_tokens: int
) -> Callable[[Position], tuple[Float[Array, "batch height width"], Bool[Array, " batch"]]]:
    """Runs the model forward; the function that it returns runs it backward from a token, once for each readout.

    Gradients are checked for being finite (those of padding count as finite) before the maps are computed, which may
    not show it: a ReLU may turn NaN into 0 (XLA's maximum on CPU does).
    """
    backward = _backward(features, batch, num_tokens=num_tokens)

    def token_map(position: Position) -> tuple[Float[Array, "batch height width"], Bool[Array, " batch"]]:
        channels, pull_back = backward(position)
        weights = [jax.grad(lambda values, read=read: jnp.sum(read(values)))(channels) for read in protocol.readouts]

        def readout_map(weight: Float[Array, "batch channels"]) -> tuple[Array, Array]:
            gradient = pull_back(weight)
            are_finite = jnp.all(jnp.isfinite(gradient), axis=(1, 2, 3)) | ~batch.is_real
            return protocol.image_map(gradient), are_finite

        maps, are_finite = jax.lax.map(readout_map, jnp.stack(weights))
        return jnp.mean(maps, axis=0), jnp.all(are_finite, axis=0)

    return token_map


PullBack = Callable[[Float[Array, "batch channels"]], Float[Array, "batch height width 3"]]


def _backward(
    features: Partial, batch: ErfBatch, *, num_tokens: int
) -> Callable[[Position], tuple[Float[Array, "batch channels"], PullBack]]:
    """Returns a function from a position to the channels there and the gradient of a weighted sum of them.

    One forward pass serves all positions; for a single one a `TokenReader` is used instead.
    """
    if (reader := _reader(features, num_tokens=num_tokens)) is not None:
        (params,) = features.args

        def of_reader(position: Position) -> tuple[Array, PullBack]:
            def read(images: Float[Array, "batch height width 3"]) -> Float[Array, "batch channels"]:
                return _exact(reader.at_token(params, reader.trunk(params, images), position))

            channels, pull_back = jax.vjp(read, batch.image)
            return channels, lambda weight: pull_back(weight)[0]

        return of_reader
    feature_map, to_images = jax.vjp(features, batch.image)

    def of_map(position: Position) -> tuple[Array, PullBack]:
        channels, to_map = jax.vjp(lambda values: _exact(values[:, position[0], position[1]]), feature_map)
        return channels, lambda weight: to_images(*to_map(weight))[0]

    return of_map


def _reader(features: Partial, *, num_tokens: int) -> TokenReader | None:
    """Returns the features as a `TokenReader`, if one token is wanted and the parameters are the only argument."""
    reader = features.func
    takes_params = len(features.args) == 1 and not features.keywords
    return reader if num_tokens == 1 and takes_params and isinstance(reader, TokenReader) else None


def _exact(values: Float[Array, "*values"]) -> Float[Array, "*values"]:
    """Casts half precision to float32."""
    return values.astype(jnp.float64 if values.dtype == jnp.float64 else jnp.float32)
