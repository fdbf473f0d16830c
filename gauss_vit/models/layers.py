"""Layers shared by all models, and loops over stacked layers; the arithmetic is in `ops`."""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Literal, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Float, Key, PRNGKeyArray, PyTree

from gauss_vit.models.compute import Compute, Remat
from gauss_vit.ops.dense import DENSE, dense
from gauss_vit.ops.initializers import fan_in_uniform, truncated_normal, xavier_uniform
from gauss_vit.ops.layer_norm import layer_norm
from gauss_vit.ops.placement import Dimension, placed

Init = Literal["truncated_normal", "fan_in_uniform", "xavier_uniform"]
"""Initialiser of dense layers: that of timm's ViT (std 0.02, bias 0), PyTorch's default (+-1 / sqrt(fan-in)), or
Xavier's of variance 2 / (fan-in + fan-out) with a bias of 0."""

Module = TypeVar("Module", bound=nnx.Module)
Carry = TypeVar("Carry", bound=PyTree)


Split = Literal["none", "inputs", "outputs"]
"""Axis of a dense layer's kernel that holds heads or hidden channels, as in `models.tensor_rules`."""

_DIMENSIONS: Mapping[Split, tuple[Dimension, Dimension]] = MappingProxyType(
    {"none": (None, None), "inputs": ("heads", None), "outputs": (None, "heads")}
)


class Linear(nnx.Module):
    """A dense layer: `kernel` [inputs, outputs] and, with `use_bias`, `bias` [outputs]."""

    def __init__(
        self, inputs: int, outputs: int, *, start: Init, key: PRNGKeyArray, use_bias: bool = True, split: Split = "none"
    ):
        kernel_key, bias_key = jax.random.split(key)
        if start == "truncated_normal":
            kernel = truncated_normal(kernel_key, (inputs, outputs), std=0.02)
            bias = jnp.zeros((outputs,), jnp.float32)
        elif start == "xavier_uniform":
            kernel = xavier_uniform(kernel_key, (inputs, outputs))
            bias = jnp.zeros((outputs,), jnp.float32)
        else:
            kernel = fan_in_uniform(kernel_key, (inputs, outputs), fan_in=inputs)
            bias = fan_in_uniform(bias_key, (outputs,), fan_in=inputs)
        self.kernel = nnx.Param(kernel)
        self.bias = nnx.Param(bias) if use_bias else None
        self.split = split

    def __call__(self, inputs: Float[Array, "*batch inputs"]) -> Float[Array, "*batch outputs"]:
        """Applies the layer in the dtype of the inputs."""
        kernel = placed(self.kernel[...], *_DIMENSIONS[self.split])
        return dense(inputs, kernel, None if self.bias is None else self.bias[...])

    def arrays(self) -> tuple[Float[Array, "inputs outputs"], Float[Array, " outputs"]]:
        """Returns the kernel and the bias; zeros for a layer without a bias."""
        kernel = self.kernel[...]
        return kernel, jnp.zeros_like(kernel[0]) if self.bias is None else self.bias[...]


class LayerNorm(nnx.Module):
    """Layer normalisation: `scale` [channels], initially `start`, and `bias` [channels], initially 0."""

    def __init__(self, channels: int, *, epsilon: float, start: float = 1.0):
        self.scale = nnx.Param(jnp.full((channels,), start, jnp.float32))
        self.bias = nnx.Param(jnp.zeros((channels,), jnp.float32))
        self.epsilon = epsilon

    def __call__(self, inputs: Float[Array, "*batch channels"]) -> Float[Array, "*batch channels"]:
        """Normalises over the last axis, with statistics in float32."""
        return layer_norm(inputs, self.scale[...], self.bias[...], epsilon=self.epsilon)


def stack(make: Callable[[PRNGKeyArray], Module], keys: Key[Array, " depth"]) -> Module:
    """Builds one module for each key and stacks their parameters on a leading axis, for `jax.lax.scan`."""
    return stack_placed(lambda key, _: make(key), keys, np.zeros(len(keys), np.float32))


def stack_placed(
    make: Callable[[PRNGKeyArray, Array], Module], keys: Key[Array, " depth"], places: Float[np.ndarray, " depth"]
) -> Module:
    """Builds one module for each key and its place in the model, see `Stage.places`, and stacks their parameters."""
    graph, _ = nnx.split(nnx.eval_shape(lambda: make(keys[0], jnp.asarray(places)[0])))
    return nnx.merge(graph, jax.vmap(lambda key, place: nnx.split(make(key, place))[1])(keys, jnp.asarray(places)))


def layers_per_turn(compute: Compute, depth: int, *, blocks_per_layer: int = 1) -> int:
    """Returns how many of `depth` layers one iteration of the loop over them runs; `depth` means no loop.

    If `compute.unroll` is None, it is 1 in float32 on a CPU, where a loop compiles in half the time and runs nearly as
    fast, and 1 with rematerialisation, which saves most memory in a loop; otherwise it is `depth`, because a loop
    copies what the backward pass needs (docs/decisions/0003-compiled-programs.md).

    Args:
      compute: Settings of the computation, whose `unroll` counts blocks.
      depth: Number of layers.
      blocks_per_layer: Number of blocks in a layer.
    """
    if compute.unroll is None:
        is_cheap = compute.platform == "cpu" and compute.dtype == "float32"
        unroll = 1 if is_cheap or compute.remat != "none" else depth
    else:
        unroll = compute.unroll // blocks_per_layer
    return max(1, min(unroll, depth))


def scan_layers(
    body: Callable[[Carry, PyTree], tuple[Carry, PyTree]],
    start: Carry,
    layers: PyTree,
    *,
    unroll: int,
    remat: Remat = "none",
) -> tuple[Carry, PyTree]:
    """Runs layers one after the other: by `jax.lax.scan`, or unrolled without a loop if `unroll` covers all of them.

    A fully unrolled `jax.lax.scan` would still stack what the backward pass needs of every layer, and copy it twice.

    Args:
      body: One layer, a function from (carry, layer) to (carry, output).
      start: Initial carry.
      layers: Arrays with a leading axis of layers; without a loop, NumPy arrays are constants of the program.
      unroll: Number of layers in one iteration of the loop, see `layers_per_turn`.
      remat: What the backward pass recomputes, see `rematerialise`.
    """
    depth = len(jax.tree.leaves(layers)[0])
    is_looped = depth == 0 or unroll < depth
    body = rematerialise(body, remat, is_looped=is_looped)
    if is_looped:
        return jax.lax.scan(body, start, layers, unroll=unroll)
    carry, outputs = start, []
    for layer in _apart(layers, depth):
        carry, output = body(carry, layer)
        outputs.append(output)
    return carry, jax.tree.map(lambda *leaves: jnp.stack(leaves), *outputs)


def _apart(layers: PyTree, depth: int) -> list[PyTree]:
    """Splits stacked layers by an operation whose gradient is a concatenation, not a sum of padded slices."""
    leaves, structure = jax.tree.flatten(layers)
    parts = [
        [leaf[index] for index in range(depth)]
        if isinstance(leaf, np.ndarray) or jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)
        else [part.reshape(leaf.shape[1:]) for part in jax.lax.split(leaf, [1] * depth)]
        for leaf in leaves
    ]
    return [jax.tree.unflatten(structure, layer) for layer in zip(*parts, strict=True)]


def rematerialise(body: Callable, remat: Remat, *, is_looped: bool) -> Callable:
    """Wraps a function so that the backward pass recomputes nothing of it, all but its dense layers, or all of it.

    Args:
      body: The function.
      remat: "none", "dots" or "full".
      is_looped: Whether it is the body of a loop. Elsewhere common-subexpression elimination would undo the
        recomputation, so it is prevented; XLA:CPU eliminates it all the same.
    """
    if remat == "none":
        return body
    policy = jax.checkpoint_policies.save_only_these_names(DENSE) if remat == "dots" else None
    return jax.checkpoint(body, policy=policy, prevent_cse=not is_looped)
