"""UPerNet: its parameters, its maps at any size, training against inference, precision and gradients."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from gauss_vit.errors import ConfigError
from gauss_vit.heads.dense_logits import DenseLogits
from gauss_vit.heads.fcn import FCNHead
from gauss_vit.heads.inference import Inference
from gauss_vit.heads.network import Head, HeadConfig, NetworkConfig
from gauss_vit.heads.upernet import UPerNetHead
from gauss_vit.models.compute import Compute
from gauss_vit.models.construct import abstract
from gauss_vit.models.presets.swin import SWIN_BASE, SWIN_SMALL, SWIN_TINY, for_dense_tasks
from gauss_vit.ops.map_resize import bilinear_resize
from gauss_vit.position import Gaussian, with_terms
from gauss_vit.tree import flatten_paths, path_of
from tests.models import test_toy_backbone, test_vit
from tests.models.test_swin import V1

KEY = jax.random.key(0)
# Maps of 6 x 10 and 3 x 5 patches of 2 pixels, in windows of 4 x 4.
TINY = for_dense_tasks(with_terms(V1, Gaussian()), image_size=(12, 20))
HEAD = UPerNetHead(num_classes=5, channels=8, pool_scales=(1, 2), auxiliary=FCNHead(level=-1, channels=6))
NETWORK = NetworkConfig(backbone=TINY, head=HEAD)


def images_of(*size, batch=2):
    return jnp.asarray(np.random.default_rng(0).normal(size=(batch, *size, 3)), jnp.float32)


@functools.cache
def params_of(config):
    """Parameters as after some training: nothing is zero, so that every path carries a signal and a gradient."""
    random = np.random.default_rng(0)

    def draw(key_path, leaf):
        noise = random.normal(size=leaf.shape)
        positive = {"scale": 1 + 0.2 * noise, "variance": 0.5 + abs(noise), "amplitude": 2 + noise, "sigma": 2 + noise}
        fan_in = np.prod(leaf.shape[:-1]) if leaf.ndim > 1 else 25
        return jnp.asarray(np.float32(positive.get(path_of(key_path).rsplit(".", 1)[1], noise / np.sqrt(fan_in))))

    return jax.tree_util.tree_map_with_path(draw, abstract(config)[1])


@functools.cache
def network(config=NETWORK):
    """The network under a config of the same parameters."""
    return nnx.merge(abstract(config)[0], params_of(NETWORK))


@jax.jit
def applied(model, images, key=None):
    """The outputs of a model, and its running statistics after them."""
    return model(images, key=key), nnx.to_pure_dict(nnx.state(model, nnx.BatchStat))


@pytest.mark.parametrize(
    ("preset", "count"), [(SWIN_TINY, 59_941_862), (SWIN_SMALL, 81_259_766), (SWIN_BASE, 121_279_716)]
)
def test_number_of_parameters_is_that_of_mmsegmentation(preset, count):
    backbone = for_dense_tasks(preset)
    graph, params = abstract(NetworkConfig(backbone=with_terms(backbone, Gaussian()), head=UPerNetHead()))
    learned = nnx.to_pure_dict(nnx.state(nnx.merge(graph, params), nnx.Param))
    # The Gaussian has two in each block.
    assert sum(leaf.size for leaf in jax.tree.leaves(learned)) == count + 2 * backbone.depth


def test_features_are_what_the_classifier_reads():
    model = network()
    classified = jax.jit(lambda model, images: model.head.classifier(model.head.features(model.backbone, images)))
    expected = applied(model, images_of(12, 20))[0].logits
    np.testing.assert_allclose(classified(model, images_of(12, 20)), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(("size", "grid", "coarse"), [((12, 20), (6, 10), (3, 5)), ((15, 9), (8, 5), (4, 3))])
def test_logits_are_on_the_finest_map_and_auxiliary_ones_on_theirs_at_any_size(size, grid, coarse):
    outputs, _ = applied(network(), images_of(*size))
    assert outputs.logits.shape == (2, *grid, 5)
    assert outputs.auxiliary.shape == (2, *coarse, 5)


def test_inference_treats_each_image_for_itself_and_keeps_the_statistics():
    images = images_of(12, 20)
    outputs, statistics = applied(network(), images)
    swapped, _ = applied(network(), images[::-1])
    np.testing.assert_allclose(swapped.logits[::-1], outputs.logits, rtol=0, atol=1e-5)
    before = nnx.to_pure_dict(nnx.state(network(), nnx.BatchStat))
    jax.tree.map(np.testing.assert_array_equal, statistics, before)


def test_training_moves_every_running_statistic():
    _, statistics = applied(network(), images_of(12, 20), KEY)
    before = flatten_paths(nnx.to_pure_dict(nnx.state(network(), nnx.BatchStat)))
    for path, leaf in flatten_paths(statistics).items():
        assert not np.allclose(leaf, before[path]), path


def test_gradients_of_all_parameters_are_finite_and_alive():
    graph, parameters, statistics = nnx.split(network(), nnx.Param, nnx.BatchStat)
    statistics = nnx.to_pure_dict(statistics)
    random = np.random.default_rng(1)
    weights = DenseLogits(
        logits=jnp.asarray(random.normal(size=(2, 6, 10, 5)), jnp.float32),
        auxiliary=jnp.asarray(random.normal(size=(2, 3, 5, 5)), jnp.float32),
    )

    def loss(parameters, images):
        outputs = nnx.merge(graph, parameters, statistics)(images, key=jax.random.key(3))
        return sum(jnp.sum(each) for each in jax.tree.leaves(jax.tree.map(jnp.multiply, outputs, weights)))

    gradient = jax.jit(jax.grad(loss, argnums=(0, 1)))
    by_parameters, by_images = gradient(nnx.to_pure_dict(parameters), images_of(12, 20))
    assert np.isfinite(by_images).all()
    for path, leaf in flatten_paths(by_parameters).items():
        assert np.isfinite(leaf).all(), path
        # A shift of all pixels before a pointwise convolution is gone after its batch normalisation.
        assert np.any(leaf != 0) or path == "head.pyramid.norms.0.bias", path


def test_half_precision_gives_float32_logits_near_those_of_float32():
    backbone = dataclasses.replace(TINY, compute=Compute(dtype="bfloat16"))
    images = images_of(12, 20)
    found, statistics = applied(network(dataclasses.replace(NETWORK, backbone=backbone)), images, KEY)
    exact, _ = applied(network(), images, KEY)
    assert found.logits.dtype == found.auxiliary.dtype == jnp.float32
    assert {leaf.dtype for leaf in jax.tree.leaves(statistics)} == {jnp.dtype(jnp.float32)}
    # Some thirty layers round to 8 bits each.
    assert np.std(found.logits - exact.logits) < 0.1 * np.std(exact.logits)


def test_gradients_in_half_precision_are_float32():
    backbone = dataclasses.replace(TINY, compute=Compute(dtype="bfloat16"))
    graph, params = abstract(dataclasses.replace(NETWORK, backbone=backbone))

    def loss(params, images):
        return jnp.sum(nnx.merge(graph, params)(images, key=KEY).logits)

    gradients = jax.eval_shape(jax.grad(loss), params, images_of(12, 20))
    assert {leaf.dtype for leaf in jax.tree.leaves(gradients)} == {jnp.dtype(jnp.float32)}


def test_windows_are_run_by_the_head():
    head = dataclasses.replace(HEAD, inference=Inference(mode="slide", crop=(12, 20), stride=(12, 12)))
    images = images_of(12, 20)
    slid, _ = applied(network(dataclasses.replace(NETWORK, head=head)), images)
    whole, _ = applied(network(), images)
    np.testing.assert_allclose(slid.logits, bilinear_resize(whole.logits, (12, 20)), rtol=0, atol=1e-5)
    assert slid.auxiliary is None


def test_a_backbone_of_one_stage_has_logits_at_four_times_its_grid():
    config = test_toy_backbone.CONFIG
    graph, params = abstract(NetworkConfig(backbone=config, head=HEAD))
    images = test_toy_backbone.images()
    outputs = jax.eval_shape(lambda params, images: nnx.merge(graph, params)(images), params, images)
    assert outputs.logits.shape == (2, 16, 24, 5)
    assert outputs.auxiliary.shape == (2, 2, 3, 5)


def test_a_backbone_of_one_image_size_predicts_others_from_windows():
    size = test_vit.RELATIVE.image_size
    slide = dataclasses.replace(HEAD, inference=Inference(mode="slide", crop=size, stride=size))

    def outputs(head):
        graph, params = abstract(NetworkConfig(backbone=test_vit.RELATIVE, head=head))
        return jax.eval_shape(lambda params, images: nnx.merge(graph, params)(images), params, images_of(15, 9))

    assert outputs(slide).logits.shape == (2, 15, 9, 5)
    with pytest.raises(ConfigError, match="mode=slide"):
        outputs(HEAD)


def test_without_an_auxiliary_head_it_has_no_parameters_and_no_logits():
    graph, params = abstract(dataclasses.replace(NETWORK, head=dataclasses.replace(HEAD, auxiliary=None)))
    assert not any(path.startswith("head.auxiliary") for path in flatten_paths(params))
    outputs = jax.eval_shape(lambda params, images: nnx.merge(graph, params)(images), params, images_of(12, 20))
    assert outputs.auxiliary is None


def test_it_is_a_head():
    assert isinstance(HEAD, HeadConfig)
    assert isinstance(network().head, Head)


def made(head):
    return abstract(NetworkConfig(backbone=TINY, head=head))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: UPerNetHead(num_classes=0), "num_classes must be at least 1"),
        (lambda: UPerNetHead(pool_scales=(1, 0)), "pool_scales must be at least 1"),
        (lambda: UPerNetHead(dropout=1.0), r"dropout must be in \[0, 1\)"),
        (lambda: FCNHead(num_convolutions=0), "num_convolutions must be at least 1"),
        (lambda: FCNHead(dropout=-0.1), r"dropout must be in \[0, 1\)"),
        (lambda: made(UPerNetHead(auxiliary=FCNHead(level=2))), "no level 2 in a pyramid of 2"),
        (lambda: made(UPerNetHead(num_classes=None)), "num_classes is None"),
    ],
)
def test_values_out_of_range_are_refused(make, message):
    with pytest.raises(ConfigError, match=message):
        make()
