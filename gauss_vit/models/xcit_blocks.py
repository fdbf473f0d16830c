"""Parts of an XCiT: the convolutional stem, blocks with cross-covariance attention, and those of the class token."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float, PRNGKeyArray

from gauss_vit.kernels.cross_covariance import cross_covariance_attention
from gauss_vit.models.attention import AttentionConfig
from gauss_vit.models.blocks import BlockConfig, ClassBlock, make_gain, make_mlp, scale
from gauss_vit.models.convolution import BatchNorm
from gauss_vit.models.layers import LayerNorm, Linear
from gauss_vit.ops.activation import gelu
from gauss_vit.ops.channels import shift_channels
from gauss_vit.ops.convolution import convolve, convolve_channels
from gauss_vit.ops.dropout import dropout, split_key, stochastic_depth
from gauss_vit.ops.initializers import fan_in_uniform


class ConvolutionStem(nnx.Module):
    """Convolutions of stride 2, each with batch normalisation, and GELU between them: `<index>.kernel`, `.batch_norm`.

    Source: El-Nouby et al., XCiT (NeurIPS 2021), appendix; timm `ConvPatchEmbed`.
    """

    def __init__(self, widths: tuple[int, ...], *, key: PRNGKeyArray):
        keys, inputs = jax.random.split(key, len(widths)), (3, *widths)
        self.layers = nnx.Dict(
            {str(index): StridedLayer(inputs[index], inputs[index + 1], key=each) for index, each in enumerate(keys)}
        )
        self.depth = len(widths)

    def __call__(
        self, images: Float[Array, "batch height width 3"], *, key: PRNGKeyArray | None = None
    ) -> Float[Array, "batch rows columns channels"]:
        """Embeds the patches; a key means training, with the statistics of the batch."""
        maps = self.layers["0"](images, key=key)
        for index in range(1, self.depth):
            maps = self.layers[str(index)](gelu(maps), key=key)
        return maps


class StridedLayer(nnx.Module):
    """A 3 x 3 convolution of stride 2 without a bias, and batch normalisation: `kernel` and `batch_norm`."""

    def __init__(self, inputs: int, outputs: int, *, key: PRNGKeyArray):
        self.kernel = nnx.Param(fan_in_uniform(key, (3, 3, inputs, outputs), fan_in=9 * inputs))
        self.batch_norm = BatchNorm(outputs)

    def __call__(
        self, maps: Float[Array, "batch rows columns inputs"], *, key: PRNGKeyArray | None = None
    ) -> Float[Array, "batch half_rows half_columns outputs"]:
        """Halves the sides of the maps."""
        return self.batch_norm(convolve(maps, self.kernel[...], stride=2), key=key)


class ChannelConvolution(nnx.Module):
    """A 3 x 3 convolution of every channel by itself: `kernel` [3, 3, channels] and `bias` [channels]."""

    def __init__(self, channels: int, *, key: PRNGKeyArray):
        kernel_key, bias_key = jax.random.split(key)
        self.kernel = nnx.Param(fan_in_uniform(kernel_key, (3, 3, channels), fan_in=9))
        self.bias = nnx.Param(fan_in_uniform(bias_key, (channels,), fan_in=9))

    def __call__(
        self, maps: Float[Array, "batch rows columns channels"]
    ) -> Float[Array, "batch rows columns channels"]:
        """Applies the layer in the dtype of the maps."""
        return shift_channels(convolve_channels(maps, self.kernel[...]), self.bias[...])


class LocalInteraction(nnx.Module):
    """Lets neighbouring patches exchange values, channel by channel: `first`, GELU, `batch_norm` and `second`.

    Source: El-Nouby et al., XCiT (NeurIPS 2021), section 3.3; timm `LPI`.
    """

    def __init__(self, channels: int, *, key: PRNGKeyArray):
        first_key, second_key = jax.random.split(key)
        self.first = ChannelConvolution(channels, key=first_key)
        self.batch_norm = BatchNorm(channels)
        self.second = ChannelConvolution(channels, key=second_key)

    def __call__(
        self, maps: Float[Array, "batch rows columns channels"], *, key: PRNGKeyArray | None = None
    ) -> Float[Array, "batch rows columns channels"]:
        """Applies both convolutions; a key means training, with the statistics of the batch."""
        return self.second(self.batch_norm(gelu(self.first(maps)), key=key))


class ChannelAttention(nnx.Module):
    """Cross-covariance attention: `query_key_value` [width, 3 width], `temperature` [heads], `projection`."""

    def __init__(self, config: AttentionConfig, *, key: PRNGKeyArray):
        joint_key, projection_key = jax.random.split(key)
        width, start = config.width, config.start
        self.query_key_value = Linear(width, 3 * width, start=start, key=joint_key)
        self.temperature = nnx.Param(jnp.ones((config.num_heads,), jnp.float32))
        self.projection = Linear(width, width, start=start, key=projection_key)
        self.config = config

    def __call__(
        self, tokens: Float[Array, "batch tokens channels"], *, key: PRNGKeyArray | None = None
    ) -> Float[Array, "batch tokens channels"]:
        """Applies attention; a key enables dropout."""
        weights_key, output_key = split_key(key, 2)
        joint = self.query_key_value(tokens)
        split = joint.reshape(*tokens.shape[:2], 3, self.config.num_heads, -1)
        mixed = cross_covariance_attention(
            *(split[:, :, index] for index in range(3)),
            temperature=self.temperature[...],
            dropout_rate=self.config.attention_dropout,
            dropout_key=weights_key,
        )
        outputs = self.projection(mixed.reshape(tokens.shape))
        return dropout(outputs, rate=self.config.projection_dropout, key=output_key)


class Statistics(NamedTuple):
    """New running statistics of the batch normalisation of a block, float32.

    Attributes:
      mean: Mean of each channel.
      variance: Variance of each channel.
    """

    mean: Float[Array, "*depth channels"]
    variance: Float[Array, "*depth channels"]


class ChannelBlock(nnx.Module):
    """Cross-covariance attention, local interaction and an MLP, each normalised, scaled and added to the stream.

    Parameters: `norm1`, `channel_attention`, `layer_scale1`, `norm_local`, `local`, `layer_scale_local`, `norm2`,
    `mlp` and `layer_scale2`.

    Source: El-Nouby et al., XCiT (NeurIPS 2021), section 3.4; timm `XCABlock`.
    """

    def __init__(self, config: BlockConfig, *, key: PRNGKeyArray):
        attention_key, local_key, mlp_key = jax.random.split(key, 3)
        width = config.attention.width
        self.norm1 = LayerNorm(width, epsilon=config.norm_epsilon)
        self.channel_attention = ChannelAttention(config.attention, key=attention_key)
        self.layer_scale1 = make_gain(config)
        self.norm_local = LayerNorm(width, epsilon=config.norm_epsilon)
        self.local = LocalInteraction(width, key=local_key)
        self.layer_scale_local = make_gain(config)
        self.norm2 = LayerNorm(width, epsilon=config.norm_epsilon)
        self.mlp = make_mlp(config, key=mlp_key)
        self.layer_scale2 = make_gain(config)
        self.config = config

    def __call__(
        self,
        tokens: Float[Array, "batch tokens channels"],
        *,
        drop_rate: Float[Array, ""],
        key: PRNGKeyArray | None = None,
    ) -> Float[Array, "batch tokens channels"]:
        """Applies the block to the residual stream.

        Args:
          tokens: Residual stream, the patches row by row.
          drop_rate: Stochastic-depth rate of each branch.
          key: Random key; None means inference.
        """
        keys, drops = split_key(key, 3), [None] * 3
        if self.config.drops_paths:
            drops = split_key(None if key is None else jax.random.fold_in(key, 3), 3)
        mixed = scale(self.channel_attention(self.norm1(tokens), key=keys[0]), self.layer_scale1)
        tokens = tokens + stochastic_depth(mixed, rate=drop_rate, key=drops[0])
        local = scale(self._local_branch(tokens, key=keys[1]), self.layer_scale_local)
        tokens = tokens + stochastic_depth(local, rate=drop_rate, key=drops[1])
        transformed = scale(self.mlp(self.norm2(tokens), key=keys[2]), self.layer_scale2)
        return tokens + stochastic_depth(transformed, rate=drop_rate, key=drops[2])

    def statistics(self) -> Statistics:
        """Returns the running statistics, which the block updates when it is called with a key."""
        norm = self.local.batch_norm
        return Statistics(mean=norm.mean[...], variance=norm.variance[...])

    def update(self, statistics: Statistics) -> None:
        """Replaces the running statistics."""
        norm = self.local.batch_norm
        norm.mean[...], norm.variance[...] = statistics.mean, statistics.variance

    def _local_branch(
        self, tokens: Float[Array, "batch tokens channels"], *, key: PRNGKeyArray | None
    ) -> Float[Array, "batch tokens channels"]:
        batch, _, channels = tokens.shape
        maps = self.norm_local(tokens).reshape(batch, *self.config.attention.grid, channels)
        return self.local(maps, key=key).reshape(tokens.shape)


def update_all_tokens(
    block: ClassBlock, tokens: Float[Array, "batch tokens channels"], *, key: PRNGKeyArray | None = None
) -> Float[Array, "batch tokens channels"]:
    """Applies a block of the class token as XCiT does, which changes the patches, too.

    The attention branch of a patch is its normalised value, and the second normalisation takes the place of the stream;
    what a patch has instead of an MLP is the identity, which doubles it.

    Args:
      block: Block of the class token.
      tokens: Class token, then the patches.
      key: Random key; None means inference.

    Source: timm `ClassAttentionBlock` with `tokens_norm=True`; facebookresearch/xcit, xcit.py.
    """
    inputs = block.norm1(tokens)
    branch = jnp.concatenate([block.attend(inputs), inputs[:, 1:]], axis=1)
    tokens = block.norm2(tokens + scale(branch, block.layer_scale1))
    class_token, patches = tokens[:, :1], tokens[:, 1:]
    transformed = scale(block.mlp(class_token, key=key), block.layer_scale2)
    return jnp.concatenate([class_token + transformed, patches + patches], axis=1)
