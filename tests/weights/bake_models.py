"""Small models with every variant of the Gaussian and every other term, and the files that they become for stock timm.

As a script, `python -m tests.weights.bake_models FOLDER` writes the files that record_bake.py loads into timm.
"""

import dataclasses
import sys
from pathlib import Path

import jax.numpy as jnp
import numpy as np

from gauss_vit.models.backbone import BackboneConfig
from gauss_vit.models.construct import abstract
from gauss_vit.position import Gaussian, RelativeTable
from gauss_vit.position.position import Position, with_terms
from gauss_vit.tree import flatten_paths, unflatten_paths
from gauss_vit.weights.bake import bake
from gauss_vit.weights.names.name_tables import timm_rules
from gauss_vit.weights.names.naming import to_theirs
from gauss_vit.weights.safetensors_file import write
from tests.models import deterministic
from tests.models.test_vit import RELATIVE
from tests.networks import classifier
from tests.position.terms.cases import CASES
from tests.weights.hugging_face_models import SWIN

ALL = Gaussian(per_head=True, anisotropic=True, unit="image", sigma=0.3)
CLASS_TOKEN = dataclasses.replace(RELATIVE, class_token=True, pool="token", norm="before_pool")
EXPORTED: dict[str, BackboneConfig] = {
    "relpos": with_terms(RELATIVE, ALL),
    "class_token": CLASS_TOKEN,
    "beit": dataclasses.replace(
        CLASS_TOKEN,
        biases="query_value",
        position=Position(
            terms=(
                RelativeTable(has_prefix=True),
                Gaussian(),
            )
        ),
    ),
    "swin": with_terms(SWIN, ALL),
}
FOUR_HEADS = dataclasses.replace(RELATIVE, num_heads=4)
WITH_ONE_TERM: dict[str, BackboneConfig] = {
    f"term {name}": dataclasses.replace(FOUR_HEADS, position=Position(terms=(value,))) for name, value in CASES.items()
}


def params_for(config):
    """Deterministic parameters that differ in every layer: dense layers of unit gain, all else around 1."""

    def leaf_for(path, shape):
        # The recording drew from paths that named no backbone.
        noise = deterministic.values(path.removeprefix("backbone.").replace("head.linear.", "head."), shape)
        values = noise * np.sqrt(3 / shape[-2]) if path.endswith("kernel") else 1 + 0.5 * noise
        return jnp.asarray(values, jnp.float32)

    leaves = flatten_paths(abstract(classifier(config))[1])
    return unflatten_paths({path: leaf_for(path, leaf.shape) for path, leaf in leaves.items()})


def main() -> None:
    """Writes every model."""
    for name, config in (EXPORTED | WITH_ONE_TERM).items():
        baked, params = bake(config, params_for(config))
        write(Path(sys.argv[1]) / f"{name}.safetensors", to_theirs(params, timm_rules(classifier(baked))))


if __name__ == "__main__":
    main()
