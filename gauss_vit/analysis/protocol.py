"""Named protocols of effective receptive fields: which scalar of the target token is differentiated, and what is kept.

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

from gauss_vit.errors import ConfigError

Readout = Callable[[Float[Array, "batch channels"]], Float[Array, " batch"]]
ImageMap = Callable[[Float[Array, "batch height width rgb"]], Float[Array, "batch height width"]]


@dataclass(frozen=True, kw_only=True)
class ErfProtocol:
    """How the effective receptive field of a token is defined.

    Attributes:
      name: the word that users type and that results carry.
      readout: the scalar of the target token, one per image, a function of its channels only.
      image_map: what is kept of the gradient of that scalar with respect to the normalised image, one map per image,
        not negative; maps are summed over images afterwards.
      reads_normalized: whether the target is the feature map after the model's last normalisation (the features that
        its head reads) or the residual stream before it. The engine takes features as they come: whoever builds the
        `features` function obeys this.
    """

    name: str
    readout: Readout
    image_map: ImageMap
    reads_normalized: bool


def channel_mean(channels: Float[Array, "batch channels"]) -> Float[Array, " batch"]:
    """Averages the channels of the target token."""
    return jnp.mean(channels, axis=-1)


def balanced_signs(num_channels: int) -> Float[np.ndarray, " channels"]:
    """Draws signs +1 and -1 in random order and, for an even number of channels, in equal number.

    The order is fixed (seed 0), so that results repeat. Equal numbers make the signs orthogonal to the channel mean.
    """
    signs = np.where(np.arange(num_channels) % 2 == 0, 1.0, -1.0)
    return np.random.default_rng(0).permutation(signs)


def signed_channel_mean(channels: Float[Array, "batch channels"]) -> Float[Array, " batch"]:
    """Averages the channels with random signs: a projection that no normalisation makes constant."""
    signs = jnp.asarray(balanced_signs(channels.shape[-1]), channels.dtype)
    return jnp.mean(channels * signs[None, :], axis=-1)


def rectified_rgb_mean(gradient: Float[Array, "batch height width rgb"]) -> Float[Array, "batch height width"]:
    """Averages the gradient over colours, then keeps its positive part image by image."""
    return jax.nn.relu(jnp.mean(gradient, axis=-1))


BMVC2023 = ErfProtocol(name="bmvc2023", readout=channel_mean, image_map=rectified_rgb_mean, reads_normalized=True)
"""The paper's: channel mean of the last feature map, gradient averaged over RGB, ReLU per image, sum over images.

Source: Kim et al., BMVC 2023, section 2 and its reference code (batch size 1).
"""

PRE_NORM = replace(BMVC2023, name="pre_norm", reads_normalized=False)
"""`BMVC2023` on the residual stream: also defined where the last normalisation has constant scale (untrained nets)."""

RANDOM_PROJECTION = replace(BMVC2023, name="random_projection", readout=signed_channel_mean)
"""`BMVC2023` with a random-sign channel mean: defined after any normalisation, comparable across untrained nets."""

PROTOCOLS = (BMVC2023, PRE_NORM, RANDOM_PROJECTION)


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
