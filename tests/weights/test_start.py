"""Starting a model at another run's parameters: what is kept, what is new, what is refused."""

import dataclasses
import functools

import jax
import numpy as np
import pytest

from gauss_vit.errors import CheckpointError, ConfigError
from gauss_vit.ops.grid import offset_shape
from gauss_vit.ops.resize import resize_grid, resize_offset_table
from gauss_vit.position.absolute import AbsoluteEmbedding
from gauss_vit.position.position import Position, with_terms
from gauss_vit.position.query_gaussian import QueryGaussian
from gauss_vit.position.rotary_axial import AxialRotary
from gauss_vit.position.rotary_mixed import MixedRotary
from gauss_vit.position.terms.buckets import Buckets
from gauss_vit.position.terms.fire import Fire
from gauss_vit.position.terms.gaussian import Gaussian
from gauss_vit.position.terms.kerple import Kerple
from gauss_vit.position.terms.look_here import LookHere
from gauss_vit.position.terms.relative import RelativeTable
from gauss_vit.position.terms.relative_mlp import RelativeMlp
from gauss_vit.tree import flatten_paths
from gauss_vit.weights.start import Start, carry_over, redraw
from tests.networks import classifier, network_params
from tests.tiny_config import MODEL

PLAIN = dataclasses.replace(MODEL, position=Position(terms=(RelativeMlp(hidden=4),)))
GAUSSIAN = with_terms(PLAIN, Gaussian(sigma=1.5))


def params_of(config, seed: int = 7):
    """Fresh parameters of a model."""
    return network_params(config, seed)


@functools.cache
def donor():
    return params_of(PLAIN)


@functools.cache
def donated():
    return flatten_paths(jax.device_get(donor()))


def carried(config, head="fitting", given=None, seed=0, num_classes=5, source=PLAIN, **classes):
    """The parameters by path, and which are fresh."""
    imported = carry_over(
        given or donor(), classifier(config, num_classes), source=source, head=head, seed=seed, **classes
    )
    return flatten_paths(imported.params), set(imported.fresh)


def test_an_equal_model_gets_every_parameter():
    params, fresh = carried(PLAIN)
    assert not fresh
    assert list(params) == list(donated())
    for path, leaf in params.items():
        np.testing.assert_array_equal(leaf, donated()[path])


def test_a_gaussian_that_the_run_lacks_starts_at_its_start_values():
    params, fresh = carried(GAUSSIAN)
    bias = "backbone.blocks.attention.bias.gaussian."
    assert fresh == {f"{bias}amplitude", f"{bias}sigma"}
    np.testing.assert_array_equal(params[f"{bias}amplitude"], np.full((2, 1), 2.0, np.float32))
    np.testing.assert_array_equal(params[f"{bias}sigma"], np.full((2, 1), 1.5, np.float32))


def test_a_gaussian_that_the_model_lacks_is_left_behind():
    params, fresh = carried(PLAIN, given=params_of(GAUSSIAN), source=GAUSSIAN)
    assert not fresh
    assert list(params) == list(donated())


def test_a_head_of_other_classes_is_new_and_the_rest_is_kept():
    params, fresh = carried(GAUSSIAN, num_classes=3)
    assert {path for path in fresh if "gaussian" not in path} == {"head.linear.bias", "head.linear.kernel"}
    assert params["head.linear.kernel"].shape == (16, 3)
    for path in set(params) - fresh:
        np.testing.assert_array_equal(params[path], donated()[path])


def test_a_fresh_head_is_new_although_the_old_one_fits():
    params, fresh = carried(PLAIN, head="fresh")
    assert fresh == {"head.linear.bias", "head.linear.kernel"}
    assert not np.array_equal(params["head.linear.kernel"], donated()["head.linear.kernel"])


def test_what_is_fresh_depends_on_the_seed_alone():
    first, second, other = (carried(PLAIN, head="fresh", seed=seed)[0]["head.linear.kernel"] for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, second)
    assert not np.array_equal(first, other)


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        (dataclasses.replace(PLAIN, depth=3), "misshaped"),
        (dataclasses.replace(PLAIN, position=Position()), "unexpected: backbone.blocks.attention.bias.relative_mlp"),
        (dataclasses.replace(PLAIN, class_token=True), "1 missing: backbone.class_token"),
    ],
)
def test_other_architectures_are_refused_with_what_differs(config, expected: str):
    with pytest.raises(CheckpointError, match=expected) as caught:
        carried(config)
    assert caught.value.code == "CKPT-TREE"


def positioned(*terms, **others):
    """The model with other position information."""
    return dataclasses.replace(MODEL, position=Position(terms=terms, **others))


@pytest.mark.parametrize(
    ("source", "config", "expected"),
    [
        (PLAIN, dataclasses.replace(PLAIN, num_heads=1), "num_heads is 2 in the run and 1 in the model"),
        (PLAIN, dataclasses.replace(PLAIN, patch_size=(4, 16)), r"patch_size is \(8, 8\) in the run and \(4, 16\)"),
        (PLAIN, dataclasses.replace(PLAIN, mlp="quick_gelu"), "mlp is gelu in the run and quick_gelu in the model"),
        (PLAIN, dataclasses.replace(PLAIN, block_norm="after"), "block_norm is before in the run and after in the"),
        (PLAIN, dataclasses.replace(PLAIN, norm="before_pool"), "norm is after_pool in the run and before_pool in"),
        (PLAIN, dataclasses.replace(PLAIN, norm_epsilon=1e-5), "norm_epsilon is 1e-06 in the run and 1e-05 in the"),
        (PLAIN, dataclasses.replace(PLAIN, pool="attention"), "pool is mean in the run and attention in the model"),
        (positioned(), positioned(rotary=AxialRotary()), "rotary is absent in the run and AxialRotary in the model"),
        (positioned(rotary=MixedRotary()), positioned(), "rotary is MixedRotary in the run and absent in the model"),
        (
            positioned(rotary=AxialRotary()),
            positioned(rotary=AxialRotary(order="xy")),
            "1 different: rotary.order is yx in the run and xy in the model",
        ),
        (
            positioned(Gaussian(sigma=1.5)),
            positioned(Gaussian(unit="image")),
            "gaussian.unit is patch in the run and image in the model",
        ),
        (positioned(LookHere()), positioned(LookHere(field_of_view=90)), "1 different: look_here.field_of_view is 180"),
        (
            positioned(shared=(Kerple(),)),
            positioned(shared=(Kerple(kernel="power"),)),
            "1 different: kerple.kernel is logarithm in the run and power in the model",
        ),
        (
            positioned(Buckets(num_buckets=8)),
            positioned(Buckets(num_buckets=8, max_distance=3)),
            "1 different: buckets.max_distance is 128 in the run and 3 in the model",
        ),
        (
            positioned(query_gaussian=QueryGaussian()),
            positioned(query_gaussian=QueryGaussian(reference=(3, 3))),
            r"query_gaussian.reference is None in the run and \(3, 3\) in the model",
        ),
    ],
)
def test_models_of_equal_shapes_that_compute_something_else_are_refused(source, config, expected: str):
    with pytest.raises(CheckpointError, match=expected) as caught:
        carried(config, given=params_of(source), source=source)
    assert caught.value.code == "CKPT-TREE"


@pytest.mark.parametrize(
    ("source", "config"),
    [
        (positioned(Gaussian(sigma=1.5)), positioned(Gaussian(sigma=3.0, amplitude=1.0))),
        (positioned(RelativeTable()), positioned(RelativeTable(init_std=0.0))),
        (positioned(Fire()), positioned(Fire(threshold=4.0))),
        (positioned(rotary=MixedRotary()), positioned(rotary=MixedRotary(base=20.0))),
        (positioned(rotary=AxialRotary()), positioned(rotary=AxialRotary(reference=(2, 4)))),
        (positioned(), positioned(query_gaussian=QueryGaussian())),
        (positioned(LookHere()), positioned(Buckets())),
        (PLAIN, dataclasses.replace(PLAIN, attention_dropout=0.1, stochastic_depth=0.1, image_size=(24, 16))),
    ],
)
def test_starts_rates_sizes_and_terms_may_differ(source, config):
    carried(config, given=params_of(source), source=source)


def test_another_pooling_needs_a_new_head():
    source = dataclasses.replace(PLAIN, class_token=True)
    config = dataclasses.replace(source, pool="token")
    with pytest.raises(CheckpointError, match="1 different: pool is mean in the run and token in the model"):
        carried(config, given=params_of(source), source=source)
    carried(config, head="fresh", given=params_of(source), source=source)


def test_the_head_of_the_run_can_be_demanded():
    with pytest.raises(CheckpointError, match=r"head\.linear\.kernel is"):
        carried(GAUSSIAN, head="file", num_classes=3)


def test_redrawing_changes_positions_and_nothing_else():
    changed = flatten_paths(redraw(PLAIN, donor(), "reinit", key=jax.random.key(0)))
    differing = {path for path, leaf in changed.items() if not np.array_equal(leaf, donated()[path])}
    assert differing == {path for path in donated() if "relative_mlp" in path}
    assert all(isinstance(leaf, np.ndarray) for leaf in changed.values())


def test_no_redrawing_changes_nothing():
    kept = flatten_paths(redraw(PLAIN, donor(), "none", key=jax.random.key(0)))
    assert all(np.array_equal(leaf, donated()[path]) for path, leaf in kept.items())


def test_a_start_without_weights_is_refused():
    with pytest.raises(ConfigError, match="weights is empty"):
        Start(weights="")


CLASSES = ("crow", "gull", "robin", "tit", "wren")


def test_classes_are_found_by_name():
    wanted = ("wren", "crow")
    params, fresh = carried(PLAIN, num_classes=2, given_classes=CLASSES, class_names=wanted)
    assert not fresh
    np.testing.assert_array_equal(params["head.linear.kernel"], donated()["head.linear.kernel"][:, [4, 0]])
    np.testing.assert_array_equal(params["head.linear.bias"], donated()["head.linear.bias"][[4, 0]])
    turned, fresh = carried(PLAIN, given_classes=CLASSES, class_names=CLASSES[::-1])
    assert not fresh
    np.testing.assert_array_equal(turned["head.linear.bias"], donated()["head.linear.bias"][::-1])


def test_as_many_other_classes_get_a_new_head_or_are_refused():
    others = {"given_classes": CLASSES, "class_names": ("a", "b", "c", "d", "e")}
    params, fresh = carried(PLAIN, **others)
    assert fresh == {"head.linear.bias", "head.linear.kernel"}
    assert not np.array_equal(params["head.linear.kernel"], donated()["head.linear.kernel"])
    with pytest.raises(CheckpointError, match=r"it has crow, gull, .* and not a, b, c, d, e") as caught:
        carried(PLAIN, head="file", **others)
    assert "start.head" in caught.value.do


SEEING = dataclasses.replace(
    PLAIN, position=Position(terms=(RelativeTable(), RelativeMlp(hidden=4)), absolute=AbsoluteEmbedding())
)  # 2 x 4 patches


@pytest.mark.parametrize("grid", [(4, 2), (1, 8), (3, 5)])
def test_positions_of_another_grid_are_resampled(grid: tuple[int, int]):
    donor = params_of(SEEING)
    given = flatten_paths(jax.device_get(donor))
    target = dataclasses.replace(SEEING, image_size=tuple(8 * side for side in grid))
    imported = carry_over(donor, classifier(target), source=SEEING, head="fitting", seed=0)
    params = flatten_paths(imported.params)
    embed, table = "backbone.position_embed", "backbone.blocks.attention.bias.relative.table"
    assert set(imported.resampled) == {embed, table}
    np.testing.assert_array_equal(params[embed], resize_grid(given[embed].reshape(2, 4, -1), grid).reshape(-1, 16))
    for mine, theirs in zip(params[table], given[table], strict=True):
        np.testing.assert_array_equal(mine, resize_offset_table(theirs, offset_shape(grid)))
    for path in set(given) - {embed, table}:
        np.testing.assert_array_equal(params[path], given[path])


def test_a_named_grid_has_sides():
    with pytest.raises(ConfigError, match=r"source_grid must have sides of at least 1 patch, got \(0, 3\)"):
        Start(weights="W", source_grid=(0, 3))
