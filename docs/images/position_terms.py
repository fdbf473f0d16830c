"""Draws how every position term starts, as `position_terms.png` beside this file, from the root of the repository.

    python docs/images/position_terms.py

Tables are those of the first layer. Each receptive field is of the same small ViT with the same random weights and one
term, over images of noise; half a minute on two CPU cores.
"""

import sys
from collections.abc import Callable
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax.tree_util import Partial
from jaxtyping import Array, PyTree

from gauss_vit.analysis import PRE_NORM, receptive_field
from gauss_vit.analysis.term_start import TermStart
from gauss_vit.models.construct import abstract, build
from gauss_vit.models.vit import ViTConfig
from gauss_vit.plots.canvas import encode
from gauss_vit.plots.terms import terms_figure
from gauss_vit.position import (
    Alibi,
    BiasTerm,
    Buckets,
    Fire,
    Gaussian,
    Kerple,
    LookHere,
    Manhattan,
    Position,
    Quadratic,
    RelativeMlp,
    RelativeTable,
    RotatedGaussian,
)
from gauss_vit.tree import flatten_paths, subtree
from gauss_vit.weights.bake import bake

TERMS: dict[str, BiasTerm] = {
    "Gaussian": Gaussian(),
    "RotatedGaussian": RotatedGaussian(),
    "Alibi": Alibi(),
    "Manhattan": Manhattan(),
    "Kerple, logarithm": Kerple(),
    "Kerple, power": Kerple(kernel="power"),
    "LookHere, 180°": LookHere(),
    "LookHere, 90°": LookHere(field_of_view=90),
    "LookHere, 45°": LookHere(field_of_view=45),
    "Quadratic": Quadratic(),
    "Fire": Fire(),
    "Buckets": Buckets(),
    "RelativeMlp": RelativeMlp(),
    "RelativeTable": RelativeTable(),
}
NUM_IMAGES = 8


def config_with(term: BiasTerm) -> ViTConfig:
    """A ViT of 14 x 14 patches whose only position information is a term."""
    return ViTConfig(
        image_size=(112, 112),
        patch_size=(8, 8),
        width=96,
        depth=6,
        num_heads=12,
        class_token=False,
        pool="mean",
        norm="before_pool",
        biases="none",
        layer_scale=None,
        start="fan_in_uniform",
        position=Position(terms=(term,)),
    )


def start_of(label: str, term: BiasTerm, features: Callable[[PyTree, Array], Array]) -> TermStart:
    """The tables of a term, and the receptive field of the model with it.

    Args:
      label: Name of the row.
      term: The term.
      features: Feature map of the model with a table for its only term, from parameters and images.
    """
    config = config_with(term)
    params = {"backbone": nnx.to_pure_dict(nnx.state(build(config, jax.random.key(0))))}
    (stage,) = config.stages()
    first = jax.tree.map(lambda leaf: leaf[0], subtree(flatten_paths(params), stage.bias_path)[term.name])
    # All baked models have equal shapes, so that one program serves every term.
    _, baked = bake(config, params)
    images = jax.random.normal(jax.random.key(1), (NUM_IMAGES, *config.image_size, 3), jnp.float32)
    field = receptive_field(Partial(features, baked["backbone"]), images, protocol=PRE_NORM)
    return TermStart(
        label=label, tables=np.asarray(term.table(first, config.grid)), field=field.values, grid=config.grid
    )


def main() -> None:
    """Draws the figure."""
    graph, _ = abstract(config_with(RelativeTable()))

    def features(params: PyTree, images: Array) -> Array:
        return nnx.merge(graph, params).features(images).pre_norm

    starts = [start_of(label, term, features) for label, term in TERMS.items()]
    path = Path(__file__).with_suffix(".png")
    path.write_bytes(encode(terms_figure(starts, title="Position terms at the start, 12 heads"), "png"))
    sys.stdout.write(f"drew {path.name}\n")


if __name__ == "__main__":
    main()
