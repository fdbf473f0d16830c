"""Position information of a backbone: bias terms, rotary and absolute embedding, as one value of the config."""

import dataclasses
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol, TypeVar, runtime_checkable

from gauss_vit.errors import ConfigError
from gauss_vit.position.absolute import AbsoluteEmbedding
from gauss_vit.position.query_gaussian import QueryGaussian
from gauss_vit.position.rotary import Rotary
from gauss_vit.position.rotary_axial import AxialRotary
from gauss_vit.position.rotary_mixed import MixedRotary
from gauss_vit.position.term import BiasTerm
from gauss_vit.position.terms.alibi import Alibi
from gauss_vit.position.terms.buckets import Buckets
from gauss_vit.position.terms.fire import Fire
from gauss_vit.position.terms.gaussian import Gaussian
from gauss_vit.position.terms.kerple import Kerple
from gauss_vit.position.terms.look_here import LookHere
from gauss_vit.position.terms.manhattan import Manhattan
from gauss_vit.position.terms.quadratic import Quadratic
from gauss_vit.position.terms.relative import RelativeTable
from gauss_vit.position.terms.relative_mlp import RelativeMlp
from gauss_vit.position.terms.rotated_gaussian import RotatedGaussian

Term = (
    Gaussian
    | RelativeMlp
    | RelativeTable
    | Alibi
    | LookHere
    | Kerple
    | Manhattan
    | Fire
    | Buckets
    | Quadratic
    | RotatedGaussian
    | BiasTerm
)
"""The terms of this package, which stored configs may name, and any other that a config file defines."""

RotaryEmbedding = AxialRotary | MixedRotary | Rotary
"""The rotary embeddings of this package, and any other that a config file defines."""


@dataclass(frozen=True, kw_only=True)
class Position:
    """Position information of a backbone; none by default.

    Attributes:
      terms: Position biases of the attention logits with separate parameters in every block; their sum is added.
      shared: Position biases with one set of parameters for all blocks.
      absolute: Learned embedding added to the patches, or None.
      rotary: Rotary embedding of the queries and keys of every block, or None.
      query_gaussian: Gaussian that every query of every block predicts for itself, or None.

    Raises:
      ConfigError: two terms have the same name.

    >>> Position().with_terms(Gaussian()).with_terms(Gaussian(sigma=2.0)).terms[0].sigma
    2.0
    """

    terms: tuple[Term, ...] = ()
    shared: tuple[Term, ...] = ()
    absolute: AbsoluteEmbedding | None = None
    rotary: RotaryEmbedding | None = None
    query_gaussian: QueryGaussian | None = None

    def __post_init__(self):
        for group in (self.terms, self.shared):
            names = [term.name for term in group]
            if len(set(names)) < len(names):
                raise ConfigError(f"terms need different names, got {', '.join(names)}", do="leave one of them out")

    @property
    def all_terms(self) -> tuple[BiasTerm, ...]:
        """Terms of every block and shared terms."""
        return (*self.terms, *self.shared)

    @property
    def acts_in_attention(self) -> bool:
        """Whether attention itself has position information: terms, a rotary embedding or Gaussians of queries."""
        return bool(self.all_terms) or self.rotary is not None or self.query_gaussian is not None

    def with_terms(self, *terms: Term) -> "Position":
        """Returns a copy with terms added to every block; a block's term of the same name is replaced."""
        given = {term.name: term for term in terms}
        kept = [given.pop(term.name, term) for term in self.terms]
        return dataclasses.replace(self, terms=(*kept, *given.values()))

    def without(self, kind: type[BiasTerm]) -> "Position":
        """Returns a copy without any terms of a class."""
        terms, shared = (
            tuple(term for term in group if not isinstance(term, kind)) for group in (self.terms, self.shared)
        )
        return dataclasses.replace(self, terms=terms, shared=shared)


@runtime_checkable
class _HasPosition(Protocol):
    """A dataclass with a field `position`."""

    __dataclass_fields__: ClassVar[dict[str, Any]]

    @property
    def position(self) -> Position: ...


Config = TypeVar("Config", bound=_HasPosition)


def with_terms(config: Config, *terms: Term) -> Config:
    """Adds terms to every block of a backbone's config; a block's term of the same name is replaced.

    Raises:
      ConfigError: the config has no field `position`: its backbone has no attention between patches.
    """
    if terms and "position" not in config.__dataclass_fields__:
        raise ConfigError(
            f"a position bias does not apply to {type(config).__name__.removesuffix('Config')}: it is added to logits "
            "between patches, and there are none (cross-covariance attention mixes channels)",
            do="leave the bias out, or choose a model with attention between patches",
        )
    return dataclasses.replace(config, position=config.position.with_terms(*terms))


def without_terms(config: Config, kind: type[BiasTerm]) -> Config:
    """Removes all terms of a class from a backbone's config."""
    return dataclasses.replace(config, position=config.position.without(kind))
