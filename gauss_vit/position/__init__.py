"""Position terms: biases of the attention logits as tables over patch offsets; rotary and absolute embeddings."""

from gauss_vit.position.absolute import AbsoluteEmbedding
from gauss_vit.position.position import Position, with_terms, without_terms
from gauss_vit.position.query_gaussian import QueryGaussian
from gauss_vit.position.rotary import Rotary
from gauss_vit.position.rotary_axial import AxialRotary
from gauss_vit.position.rotary_mixed import MixedRotary
from gauss_vit.position.term import BiasTerm, expand, init, table
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

__all__ = [
    "AbsoluteEmbedding",
    "Alibi",
    "AxialRotary",
    "BiasTerm",
    "Buckets",
    "Fire",
    "Gaussian",
    "Kerple",
    "LookHere",
    "Manhattan",
    "MixedRotary",
    "Position",
    "Quadratic",
    "QueryGaussian",
    "RelativeMlp",
    "RelativeTable",
    "Rotary",
    "RotatedGaussian",
    "expand",
    "init",
    "table",
    "with_terms",
    "without_terms",
]
