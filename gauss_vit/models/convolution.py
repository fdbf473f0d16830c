"""Convolutions and batch normalisation, as decoders of feature maps use them; the arithmetic is in `ops`."""

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float, PRNGKeyArray

from gauss_vit.errors import ConfigError
from gauss_vit.ops.batch_norm import batch_norm, normalize
from gauss_vit.ops.channels import shift_channels
from gauss_vit.ops.convolution import convolve
from gauss_vit.ops.dense import dense
from gauss_vit.ops.einsum import einsum
from gauss_vit.ops.initializers import kaiming_normal, normal
from gauss_vit.ops.placement import placed

_EPSILON = 1e-5
_MOMENTUM = 0.1


class Convolution(nnx.Module):
    """A convolution without a bias that keeps the size of maps: `kernel` [size, size, inputs, outputs], Kaiming."""

    def __init__(self, inputs: int, outputs: int, *, size: int, key: PRNGKeyArray):
        self.kernel = nnx.Param(kaiming_normal(key, (size, size, inputs, outputs)))

    def __call__(self, maps: Float[Array, "batch rows columns inputs"]) -> Float[Array, "batch rows columns outputs"]:
        """Applies the layer in the dtype of the maps."""
        return placed(convolve(maps, placed(self.kernel[...])), "batch")


class BiasedConvolution(nnx.Module):
    """A convolution that keeps the size of maps: `kernel` [size, size, inputs, outputs], as drawn, `bias` [outputs]."""

    def __init__(self, kernel: Float[Array, "size size inputs outputs"]):
        self.kernel = nnx.Param(kernel)
        self.bias = nnx.Param(jnp.zeros((kernel.shape[-1],), jnp.float32))

    def __call__(self, maps: Float[Array, "batch rows columns inputs"]) -> Float[Array, "batch rows columns outputs"]:
        """Applies the layer in the dtype of the maps."""
        return shift_channels(placed(convolve(maps, placed(self.kernel[...])), "batch"), self.bias[...])


class Upsampling(nnx.Module):
    """A transposed convolution that doubles the sides: `kernel` [2, 2, inputs, outputs], as drawn, `bias` [outputs]."""

    def __init__(self, kernel: Float[Array, "2 2 inputs outputs"]):
        self.kernel = nnx.Param(kernel)
        self.bias = nnx.Param(jnp.zeros((kernel.shape[-1],), jnp.float32))

    def __call__(
        self, maps: Float[Array, "batch rows columns inputs"]
    ) -> Float[Array, "batch doubled_rows doubled_columns outputs"]:
        """Maps every pixel to 2 x 2 pixels, in the dtype of the maps."""
        kernel = self.kernel[...]
        batch, rows, columns, inputs = maps.shape
        outputs = kernel.shape[-1]
        flat = jnp.transpose(kernel, (2, 0, 1, 3)).reshape(inputs, 4 * outputs)
        pixels = dense(maps, flat).reshape(batch, rows, columns, 2, 2, outputs)
        doubled = jnp.transpose(pixels, (0, 1, 3, 2, 4, 5)).reshape(batch, 2 * rows, 2 * columns, outputs)
        return shift_channels(doubled, self.bias[...])


class PixelClassifier(nnx.Module):
    """A linear map of every pixel to logits: `kernel` [1, 1, inputs, classes], normal of mean 0, `bias` [classes]."""

    def __init__(self, inputs: int, classes: int, *, key: PRNGKeyArray, std: float = 0.01):
        self.kernel = nnx.Param(normal(key, (1, 1, inputs, classes), std=std))
        self.bias = nnx.Param(jnp.zeros((classes,), jnp.float32))

    def __call__(self, maps: Float[Array, "batch rows columns inputs"]) -> Float[Array, "batch rows columns classes"]:
        """Computes float32 logits."""
        kernel = placed(self.kernel[...])[0, 0]
        logits = einsum("byxc,ck->byxk", maps, kernel, dtype=jnp.float32)
        return shift_channels(placed(logits, "batch"), self.bias[...])


class BatchNorm(nnx.Module):
    """Batch normalisation over images and pixels: `scale`, `bias`, and the running `mean` and `variance`, [channels].

    With a key, that is in training, it normalises by the statistics of the global batch, and moves the running ones,
    its own variables, a tenth of the way towards them; inference uses the running ones. All statistics are float32.

    Source: torch `SyncBatchNorm`; its running variance is the unbiased one.
    """

    def __init__(self, channels: int):
        self.scale = nnx.Param(jnp.ones((channels,), jnp.float32))
        self.bias = nnx.Param(jnp.zeros((channels,), jnp.float32))
        self.mean = nnx.BatchStat(jnp.zeros((channels,), jnp.float32))
        self.variance = nnx.BatchStat(jnp.ones((channels,), jnp.float32))

    def __call__(
        self, maps: Float[Array, "batch rows columns channels"], *, key: PRNGKeyArray | None = None
    ) -> Float[Array, "batch rows columns channels"]:
        """Normalises every channel.

        Raises:
          ConfigError: in training, there is one number for each channel only, which has no variance.
        """
        scale, bias = self.scale[...], self.bias[...]
        if key is None:
            mean, variance = self.mean[...], self.variance[...]
            return normalize(maps, scale, bias, mean=mean, variance=variance, epsilon=_EPSILON)
        count = maps.size // maps.shape[3]
        if count == 1:
            message = "batch normalisation needs more than one value for each channel, got one image of one pixel"
            raise ConfigError(message, do="train with a batch_size of at least 2")
        outputs, mean, variance = batch_norm(maps, scale, bias, epsilon=_EPSILON)
        self.mean[...] = _follow(self.mean[...], mean)
        self.variance[...] = _follow(self.variance[...], variance * (count / (count - 1)))
        return outputs


class ConvolutionBlock(nnx.Module):
    """A convolution without a bias, batch normalisation and ReLU: `convolution` and `batch_norm`.

    Source: mmcv's `ConvModule`.
    """

    def __init__(self, inputs: int, outputs: int, *, size: int, key: PRNGKeyArray):
        self.convolution = Convolution(inputs, outputs, size=size, key=key)
        self.batch_norm = BatchNorm(outputs)

    def __call__(
        self, maps: Float[Array, "batch rows columns inputs"], *, key: PRNGKeyArray | None = None
    ) -> Float[Array, "batch rows columns outputs"]:
        """Applies the three in turn, in the dtype of the maps."""
        return jax.nn.relu(self.batch_norm(self.convolution(maps), key=key))


def _follow(running: Float[Array, " channels"], new: Float[Array, " channels"]) -> Float[Array, " channels"]:
    return (1 - _MOMENTUM) * running + _MOMENTUM * new
