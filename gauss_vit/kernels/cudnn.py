"""Attention by cuDNN with a learned bias, and the check that it is right on the machine at hand.

cuDNN keeps no logits: compiled for an H200, a training step of ViT-S moves 0.6 of the memory that it moves with XLA's
own kernels (docs/performance.md). Its backward pass has faults that depend on versions and shapes: an odd number of
tokens is refused, for 64 modulo 128 gradients that are not finite were reported (pytorch#196678), and a bias gradient
that is missing (jax#27184) or, in float32, NaN (jax#32242). So tokens are padded to a number that is known to work, the
bias has a value for every head and the type of the queries, and results and gradients are compared with the
specification once, on the device, before they are used.
"""

import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from gauss_vit.kernels.reference import attend, attention_logits, attention_weights

LARGEST_ERROR = 0.02
"""Relative L2 distance from float32 above which cuDNN is not used; the specification itself in bfloat16 has 0.003."""

# What jax.nn.dot_product_attention itself masks with in bfloat16; cuDNN subtracts such numbers, so not the largest.
_NEVER = -(2.0**41)

_EXAMPLES, _HEADS = 3, 4

Attend = Callable[..., Array]


def padded(num_tokens: int) -> int:
    """Returns the least number of tokens from this one on for which cuDNN's backward pass works: even, not 64 mod 128.

    >>> [padded(tokens) for tokens in (196, 197, 64, 576)]
    [196, 198, 66, 578]
    """
    even = num_tokens + num_tokens % 2
    return even + 2 if even % 128 == 64 else even


def attend_cudnn(
    query: Float[Array, "batch tokens heads channels"],
    key: Float[Array, "batch tokens heads channels"],
    value: Float[Array, "batch tokens heads channels"],
    bias: Float[Array, "#heads tokens tokens"] | None = None,
    *,
    scale: float,
) -> Float[Array, "batch tokens heads channels"]:
    """Computes softmax(scale query key^T + bias) value; the softmax is in float32.

    Args:
      query: queries, in bfloat16.
      key: keys.
      value: values.
      bias: logits of every pair of tokens; it is rounded to bfloat16.
      scale: what multiplies the products.
    """
    num_tokens, num_heads = query.shape[1:3]
    extra = padded(num_tokens) - num_tokens
    if extra:
        query, key, value = (jnp.pad(part, ((0, 0), (0, extra), (0, 0), (0, 0))) for part in (query, key, value))
        bias = jnp.zeros((1, num_tokens, num_tokens), query.dtype) if bias is None else bias
        # The results of padding queries are cut off, and padding keys get no weight.
        bias = jnp.pad(bias, ((0, 0), (0, extra), (0, 0)))
        bias = jnp.pad(bias, ((0, 0), (0, 0), (0, extra)), constant_values=_NEVER)
    if bias is not None:
        bias = jnp.broadcast_to(bias.astype(query.dtype)[None], (1, num_heads, *bias.shape[1:]))
    mixed = jax.nn.dot_product_attention(query, key, value, bias=bias, scale=scale, implementation="cudnn")
    return mixed[:, :num_tokens]


def fault(num_tokens: int, head_channels: int, *, device: jax.Device, has_bias: bool = True) -> str:
    """Describes how cuDNN's attention differs from the specification on a device; "" where it agrees.

    Compared are the result, in training and in inference, and the gradients of queries, keys, values and bias, on
    numbers drawn once. It compiles and computes: call it once, and not while a program is traced. About a thousand
    tokens are compared in place of more, as many as leave the same remainder by 128.

    Args:
      num_tokens: tokens of an image.
      head_channels: channels of a head.
      device: device that computes.
      has_bias: logits get a bias.
    """
    num_tokens = num_tokens if num_tokens < 1152 else 1024 + num_tokens % 128
    operands = _operands(num_tokens, head_channels, has_bias=has_bias)
    scale = head_channels**-0.5
    try:
        with jax.default_device(device):
            found = _results(functools.partial(attend_cudnn, scale=scale), operands, jnp.bfloat16)
            expected = _results(functools.partial(_specification, scale=scale), operands, jnp.float32)
    # Whatever the vendor's code raises, there are other kernels.
    except Exception as error:
        return f"it fails: {(str(error).strip() or type(error).__name__).splitlines()[0]}"
    for name, ours, exact in zip(_COMPARED, found, expected, strict=False):
        error = float(np.linalg.norm(ours - exact) / np.linalg.norm(exact))
        if not error <= LARGEST_ERROR:
            return f"{name} differs by {error:.2g} from the specification, relative L2"
    return ""


_COMPARED = (
    "the result in inference",
    "the result",
    *(f"the gradient of {name}" for name in ("queries", "keys", "values", "the bias")),
)


def _operands(num_tokens: int, head_channels: int, *, has_bias: bool) -> tuple[Float[np.ndarray, "..."], ...]:
    """Draws a cotangent, queries, keys, values and, if wanted, a bias, rounded to bfloat16."""
    random = np.random.default_rng(0)
    tokens = (_EXAMPLES, num_tokens, _HEADS, head_channels)
    shapes = (tokens, tokens, tokens, tokens, *[(_HEADS, num_tokens, num_tokens)] * has_bias)
    drawn = (random.standard_normal(shape, np.float32) for shape in shapes)
    return tuple(np.asarray(each.astype(jnp.bfloat16), np.float32) for each in drawn)


def _specification(query: Array, key: Array, value: Array, bias: Array | None = None, *, scale: float) -> Array:
    return attend(attention_weights(attention_logits(query, key, scale=scale, bias=bias)), value)


def _results(
    attention: Attend, operands: tuple[Float[np.ndarray, "..."], ...], dtype: DTypeLike
) -> tuple[Float[np.ndarray, "..."], ...]:
    """Computes the result, alone and under differentiation, and its gradients in a type; returns them in float32."""
    cotangent, *inputs = (jax.device_put(operand.astype(dtype)) for operand in operands)
    program = jax.jit(attention)
    result, gradient = jax.vjp(program, *inputs)
    found = jax.device_get((program(*inputs), result, *gradient(cotangent)))
    return tuple(np.asarray(each, np.float32) for each in found)
