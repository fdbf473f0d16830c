"""The rotary embedding of an attention layer."""

from flax import nnx
from jaxtyping import Array, Float, PRNGKeyArray

from gauss_vit.ops.grid import Grid
from gauss_vit.position.rotary import Rotary, angles, rotate


class Rotation(nnx.Module):
    """Holds the parameters of a rotary embedding, by name, and rotates queries and keys."""

    def __init__(self, rotary: Rotary, *, grid: Grid, num_heads: int, channels: int, key: PRNGKeyArray):
        for name, value in rotary.init(key, num_heads=num_heads, channels=channels).items():
            setattr(self, name, nnx.Param(value))
        self.rotary = rotary
        self.grid = grid
        self.channels = channels

    @property
    def undecayed(self) -> tuple[str, ...]:
        """Paths below this module of the parameters that are never weight-decayed."""
        return self.rotary.undecayed

    def angles(self, *, prefix_tokens: int) -> Float[Array, "#heads tokens pairs"]:
        """Computes the angles of all tokens, see `position.rotary.angles`."""
        params = nnx.to_pure_dict(nnx.state(self))
        return angles(self.rotary, params, self.grid, channels=self.channels, prefix_tokens=prefix_tokens)

    def __call__(
        self,
        values: Float[Array, "batch tokens heads channels"],
        turned: Float[Array, "#heads tokens pairs"],
    ) -> Float[Array, "batch tokens heads channels"]:
        """Rotates queries or keys by given angles."""
        return rotate(values, turned, layout=self.rotary.layout)
