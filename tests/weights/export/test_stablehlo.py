"""A program that was serialised gives the logits of the model, for any number of images."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from jax import export

from gauss_vit.errors import ConfigError
from gauss_vit.models.construct import abstract
from gauss_vit.ops.pixel_normalization import Normalization
from gauss_vit.weights.export.stablehlo import program, write_program
from tests.models.test_swin import V1
from tests.models.test_vit import RELATIVE
from tests.networks import classifier, network_params
from tests.segmenter import segmenter

NORMALIZATION = Normalization(mean=(0.5, 0.4, 0.3), std=(0.1, 0.2, 0.3))


@pytest.mark.parametrize("config", [RELATIVE, pytest.param(V1, marks=pytest.mark.full)], ids=["vit", "swin"])
def test_program_in_a_file_gives_the_logits_of_the_model(config, tmp_path):
    network, params = classifier(config, 5), network_params(config, num_classes=5)
    made = program(network, params, normalization=NORMALIZATION, platforms=["cpu", "cuda", "tpu"])
    write_program(tmp_path / "folder" / "model.stablehlo", made)
    loaded = export.deserialize(bytearray((tmp_path / "folder" / "model.stablehlo").read_bytes()))
    assert loaded.platforms == ("cpu", "cuda", "tpu")
    model = jax.jit(nnx.merge(abstract(network)[0], params))
    for batch in (1, 3):
        images = jnp.asarray(np.random.default_rng(0).integers(0, 256, (batch, *config.image_size, 3), np.uint8))
        # Logits are of order 1; the program's attention kernel rounds differently.
        np.testing.assert_allclose(loaded.call(images), model(NORMALIZATION(images)), atol=1e-5)


@pytest.mark.parametrize("platforms", [["cpu", "gpu2"], []])
def test_unknown_platforms_are_refused(platforms):
    with pytest.raises(ConfigError, match="unknown platform"):
        program(classifier(RELATIVE, 5), {}, normalization=NORMALIZATION, platforms=platforms)


def test_several_outputs_are_a_dict_by_name(tmp_path):
    named = segmenter()
    made = program(named.network, named.params, normalization=NORMALIZATION, platforms=["cpu"])
    write_program(tmp_path / "model.stablehlo", made)
    loaded = export.deserialize(bytearray((tmp_path / "model.stablehlo").read_bytes()))
    images = jnp.asarray(np.random.default_rng(0).integers(0, 256, (2, *named.config.image_size, 3), np.uint8))
    found = loaded.call(images)
    expected = jax.jit(nnx.merge(named.graph, named.params))(NORMALIZATION(images))
    assert set(found) == {"logits", "auxiliary"} and found["auxiliary"] is None
    # Logits are of order 10.
    np.testing.assert_allclose(found["logits"], expected.logits, atol=1e-4)
