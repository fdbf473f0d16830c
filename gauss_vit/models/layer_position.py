"""The position information of an attention layer: the parameters of its terms, and what all of it comes to."""

from collections.abc import Mapping
from dataclasses import dataclass

from flax import nnx
from jaxtyping import Array, Float, PRNGKeyArray

from gauss_vit.models.predicted_gaussian import PredictedGaussian
from gauss_vit.ops.grid import Grid
from gauss_vit.position import term
from gauss_vit.position.term import BiasTerm


class PositionBias(nnx.Module):
    """Holds the parameters of position terms: `<term>.<parameter>`."""

    def __init__(
        self,
        terms: tuple[BiasTerm, ...],
        *,
        grid: Grid,
        num_heads: int,
        key: PRNGKeyArray,
        place: Float[Array, ""] | None = None,
    ):
        drawn = term.init(terms, key, grid=grid, num_heads=num_heads, place=place)
        for name, part in drawn.items():
            setattr(self, name, nnx.Dict({parameter: nnx.Param(value) for parameter, value in part.items()}))
        self.terms = terms
        self.grid = grid

    @property
    def undecayed(self) -> tuple[str, ...]:
        """Paths below this module of the parameters that are never weight-decayed."""
        return tuple(f"{each.name}.{name}" for each in self.terms for name in each.undecayed)

    def params(self) -> Mapping[str, term.TermParams]:
        """Returns the parameters by term and name."""
        return nnx.to_pure_dict(nnx.state(self))

    def tables(self, *, key: PRNGKeyArray | None = None) -> dict[str, Float[Array, "#heads dy dx"]]:
        """Computes the offset table of every term, by name, in logits."""
        return term.tables(self.terms, self.params(), self.grid, key=key)

    def prefix(self) -> Float[Array, "#heads 3"] | None:
        """Returns the sum of the terms' logits for prefix tokens, see `term.expand`; None if no term has any."""
        return term.prefix(self.terms, self.params())


@dataclass(frozen=True, kw_only=True)
class LayerPosition:
    """What the position information of an attention layer comes to.

    Attributes:
      table: Sum of the offset tables, in logits; None for no bias.
      angles: Angles that queries and keys are rotated by, in radians; None for no rotation.
      gaussian: What predicts a Gaussian from every query; None for no such Gaussian.
    """

    table: Float[Array, "#heads dy dx"] | None
    angles: Float[Array, "#heads tokens pairs"] | None
    gaussian: PredictedGaussian | None
