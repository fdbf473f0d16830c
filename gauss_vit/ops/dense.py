"""Dense layers as functions of arrays; activations keep their type, forward and backward."""

from jaxtyping import Array, Float

from gauss_vit.ops.channels import shift_channels
from gauss_vit.ops.contract import contract


def dense(
    inputs: Float[Array, "*batch inputs"],
    kernel: Float[Array, "inputs outputs"],
    bias: Float[Array, " outputs"] | None = None,
) -> Float[Array, "*batch outputs"]:
    """Computes `inputs kernel + bias` in the type of the inputs."""
    flat = inputs.reshape(-1, inputs.shape[-1])
    outputs = contract("mk,kn->mn", flat, kernel).reshape(*inputs.shape[:-1], kernel.shape[-1])
    if bias is None:
        return outputs
    return shift_channels(outputs, bias)
