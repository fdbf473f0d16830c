"""Named protocols of effective receptive fields: which scalar of a token is differentiated, and how maps are made.

A protocol is a frozen value made of pure functions. A new one is a new value: nothing is registered and nothing
dispatches on its name.
"""

import difflib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from gauss_vit.analysis.token import Token, center_token, lower_center_token
from gauss_vit.errors import ConfigError
from gauss_vit.ops.grid import Grid

Readout = Callable[[Float[Array, "batch channels"]], Float[Array, " batch"]]
ImageMap = Callable[[Float[Array, "batch height width rgb"]], Float[Array, "batch height width"]]
Scores = Callable[[Float[np.ndarray, "height width"]], Float[np.ndarray, "height width"]]


@dataclass(frozen=True, kw_only=True)
class ErfProtocol:
    """Definition of the effective receptive field of a token.

    Attributes:
      name: name on the command line and in results.
      readouts: scalars of the target token, one per image, functions of its channels only. Each is differentiated
        separately, and their maps are averaged.
      image_map: function from the gradient of one scalar with respect to the normalised image to one map per image,
        not negative; maps are summed over images afterwards.
      scores: function from the mean map over images to the scores that are shown and that area ratios are taken of.
      center: function from the grid to the token that `center` means.
      reads_normalized: whether the target is the feature map after the model's last normalisation (the features that
        its head reads) or the residual stream before it. Whoever builds the `features` function has to obey this.
    """

    name: str
    readouts: tuple[Readout, ...]
    image_map: ImageMap
    scores: Scores
    center: Callable[[Grid], Token]
    reads_normalized: bool


def channel_mean(channels: Float[Array, "batch channels"]) -> Float[Array, " batch"]:
    """Averages the channels of the target token."""
    return jnp.mean(channels, axis=-1)


def balanced_signs(num_channels: int, *, seed: int = 0) -> Float[np.ndarray, " channels"]:
    """Draws signs +1 and -1 in random order and, for an even number of channels, in equal number.

    A seed always gives the same order, so that results repeat. Equal numbers make the signs orthogonal to the channel
    mean.
    """
    signs = np.where(np.arange(num_channels) % 2 == 0, 1.0, -1.0)
    return np.random.default_rng(seed).permutation(signs)


def signed_channel_mean(channels: Float[Array, "batch channels"]) -> Float[Array, " batch"]:
    """Averages the channels with random signs: a projection that no normalisation makes constant."""
    signs = jnp.asarray(balanced_signs(channels.shape[-1]), channels.dtype)
    return jnp.mean(channels * signs[None, :], axis=-1)


def rectified_channel_sum(channels: Float[Array, "batch channels"]) -> Float[Array, " batch"]:
    """Sums the positive parts of the channels."""
    return jnp.sum(jax.nn.relu(channels), axis=-1)


@dataclass(frozen=True)
class SignedUnitSum:
    """A sum of the channels with weights of random sign and unit norm.

    Attributes:
      seed: seed of the signs (`balanced_signs`).
    """

    seed: int

    def __call__(self, channels: Float[Array, "batch channels"]) -> Float[Array, " batch"]:
        """Sums the channels of the target token."""
        num_channels = channels.shape[-1]
        weights = balanced_signs(num_channels, seed=self.seed) / num_channels**0.5
        return jnp.sum(channels * jnp.asarray(weights, channels.dtype)[None, :], axis=-1)


def rectified_rgb_mean(gradient: Float[Array, "batch height width rgb"]) -> Float[Array, "batch height width"]:
    """Averages the gradient over colours, then keeps its positive part image by image."""
    return jax.nn.relu(jnp.mean(gradient, axis=-1))


def rgb_sum_of_rectified(gradient: Float[Array, "batch height width rgb"]) -> Float[Array, "batch height width"]:
    """Keeps the positive part of the gradient colour by colour, then sums over colours."""
    return jnp.sum(jax.nn.relu(gradient), axis=-1)


def rgb_mean_of_absolute(gradient: Float[Array, "batch height width rgb"]) -> Float[Array, "batch height width"]:
    """Averages the absolute gradient over colours."""
    return jnp.mean(jnp.abs(gradient), axis=-1)


def linear_scores(mean_map: Float[np.ndarray, "height width"]) -> Float[np.ndarray, "height width"]:
    """Returns the mean map itself."""
    return mean_map


def log_scores(mean_map: Float[np.ndarray, "height width"]) -> Float[np.ndarray, "height width"]:
    """Computes log10(1 + x), which depends on the magnitude of the gradients: linear below 1, logarithmic above."""
    return np.log10(1 + mean_map)


BMVC2023 = ErfProtocol(
    name="bmvc2023",
    readouts=(channel_mean,),
    image_map=rectified_rgb_mean,
    scores=linear_scores,
    center=center_token,
    reads_normalized=True,
)
"""The paper's: channel mean of the last feature map, gradient averaged over RGB, ReLU per image, sum over images.

Source: Kim et al., BMVC 2023, section 2 and its reference code (batch size 1).
"""

PRE_NORM = replace(BMVC2023, name="pre_norm", reads_normalized=False)
"""`BMVC2023` on the residual stream: also defined where the last normalisation has constant scale (untrained nets)."""

RANDOM_PROJECTION = replace(BMVC2023, name="random_projection", readouts=(signed_channel_mean,))
"""`BMVC2023` with a random-sign channel mean: defined after any normalisation, comparable across untrained nets."""

REPLKNET = ErfProtocol(
    name="replknet",
    readouts=(rectified_channel_sum,),
    image_map=rgb_sum_of_rectified,
    scores=log_scores,
    center=lower_center_token,
    reads_normalized=True,
)
"""RepLKNet's: the sum of the positive channels of position (height // 2, width // 2) of the last feature map, ReLU of
its gradient at every colour, sum over colours, mean over images; shown and measured as log10(1 + score).

Two things belong to the procedure but not to this value. Images are resized to 1024 x 1024 there; here they have the
model's size, so that fields in pixels compare between models of one size only. And the target there is the last feature
map of a convolutional net before pooling; here it is what the model's head reads.

Source: Ding et al., "Scaling Up Your Kernels to 31x31", CVPR 2022, erf/visualize_erf.py (`get_input_grad`) and
erf/analyze_erf.py of github.com/DingXiaoH/RepLKNet-pytorch.
"""

NUM_LUO_DRAWS = 8

LUO2016 = ErfProtocol(
    name="luo2016",
    readouts=tuple(SignedUnitSum(seed) for seed in range(1, NUM_LUO_DRAWS + 1)),
    image_map=rgb_mean_of_absolute,
    scores=linear_scores,
    center=center_token,
    reads_normalized=True,
)
"""Luo et al.: a gradient of unit norm at the centre of the output, zero elsewhere, is propagated back; the absolute
gradient at the pixels is averaged over draws and images.

The paper works with one output channel, where that gradient is 1, and with random weights, of which it averages many
draws. A transformer's token has hundreds of channels and no preferred one, and its weights are given. So the draws are
over the output's channels: weights of random sign and equal size, eight fixed draws. The expected square of such a
gradient is the squared norm of the token's Jacobian at the pixel (divided by the number of channels), the quantity
whose Gaussian shape the paper derives; and since its sign has no meaning here, the absolute value is kept instead of
the positive part.

Source: Luo, Li, Urtasun, Zemel, "Understanding the Effective Receptive Field in Deep Convolutional Neural Networks",
NeurIPS 2016, sections 2 and 3.
"""

PROTOCOLS = (BMVC2023, PRE_NORM, RANDOM_PROJECTION, REPLKNET, LUO2016)


def protocol_named(name: str, protocols: Sequence[ErfProtocol] = PROTOCOLS) -> ErfProtocol:
    """Finds a protocol by its name.

    Raises:
      ConfigError: none has that name.
    """
    known = {protocol.name: protocol for protocol in protocols}
    if name in known:
        return known[name]
    nearest = difflib.get_close_matches(name, known, n=1, cutoff=0.0)[0]
    raise ConfigError(
        f"unknown protocol {name!r}; known are {', '.join(known)}", do=f"use {nearest}", code="ERF-PROTOCOL"
    )
