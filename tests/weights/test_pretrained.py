"""Weights from a file: complete and exact, or refused as a whole with everything that is wrong."""

import dataclasses
import json
import random

import jax
import numpy as np
import pytest
from flax import nnx

from gauss_vit.errors import CheckpointError
from gauss_vit.models import construct
from gauss_vit.models.construct import abstract
from gauss_vit.ops.pixel_normalization import Normalization
from gauss_vit.position import Gaussian, RelativeTable
from gauss_vit.position.position import Position, with_terms, without_terms
from gauss_vit.tree import flatten_paths
from gauss_vit.weights.file_metadata import Origin, grids_of_tensors, to_metadata
from gauss_vit.weights.names import naming
from gauss_vit.weights.names.name_tables import timm_rules
from gauss_vit.weights.pretrained import load_weights
from gauss_vit.weights.resample_positions import Regrid
from gauss_vit.weights.safetensors_file import open_weights, write
from tests.models import deterministic
from tests.models.test_vit import RELATIVE
from tests.networks import classifier
from tests.weights.hugging_face_models import SWIN, VIT

PLAIN_RELATIVE = without_terms(RELATIVE, Gaussian)
TABLE = dataclasses.replace(PLAIN_RELATIVE, position=Position(terms=(RelativeTable(),)))
PIXELS = Normalization(mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5))
CONFIGS = {"vit": VIT, "relative": PLAIN_RELATIVE, "table": TABLE, "swin": SWIN}


def tensors_for(config) -> dict[str, np.ndarray]:
    """Deterministic weights of a config in timm's names."""
    wanted = naming.expected(timm_rules(classifier(config)), abstract(classifier(config))[1])
    return {name: deterministic.tensor(name, each.shape) for name, each in wanted.items()}


def saved(path, config, *, states_grid=True, classes=(), **changes):
    """Writes a timm file with some tensors changed; None leaves one out."""
    tensors = tensors_for(config) | changes
    grids = grids_of_tensors(config, abstract(classifier(config))[1], timm_rules(classifier(config)))
    origin = Origin(step=0, class_names=classes, normalization=PIXELS, crop_fraction=1.0, interpolation="bicubic")
    said = to_metadata(origin, grids)
    kept = {name: array for name, array in tensors.items() if array is not None}
    write(path / "w.safetensors", kept, metadata=said if states_grid else {})
    return path / "w.safetensors"


def message_of(path, config, num_classes=5, **options) -> str:
    with pytest.raises(CheckpointError) as caught:
        load_weights(path, classifier(config, num_classes), **options)
    return str(caught.value)


@pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS.keys())
def test_timm_file_to_ours_to_timm_file_is_bit_identical(config, tmp_path):
    path = saved(tmp_path, config)
    imported = load_weights(path, classifier(config))
    assert (imported.table, imported.resampled, imported.fresh) == ("timm", (), ())
    assert jax.tree.structure(imported.params) == jax.tree.structure(abstract(classifier(config))[1])
    tensors, said = naming.to_theirs(imported.params, timm_rules(classifier(config))), open_weights(path).metadata
    write(tmp_path / "again.safetensors", tensors, metadata=said)
    assert (tmp_path / "again.safetensors").read_bytes() == path.read_bytes()


def test_everything_that_does_not_fit_is_named_at_once(tmp_path):
    changes = {
        "norm.bias": None,
        "evil\x1b[31m/../../x": np.zeros(1, np.float32),
        "blocks.1.mlp.fc1.bias": np.zeros(3, np.float32),
        "norm.weight": np.zeros(24, np.int64),
    }
    message = message_of(saved(tmp_path, VIT, **changes), VIT)
    assert "1 missing: norm.bias" in message
    assert "1 unexpected: evil\\x1b[31m/../../x" in message
    assert "1 misshaped: blocks.1.mlp.fc1.bias is (3,) in the file and (96,) in the model" in message
    assert "1 not of a floating type: norm.weight" in message


def test_other_classes_are_refused_unless_a_fresh_head_is_asked_for(tmp_path):
    path, network = saved(tmp_path, VIT), classifier(VIT, 7)
    message = message_of(path, VIT, 7)
    assert "head.weight is (5, 24) in the file and (7, 24) in the model" in message
    assert "--head=fresh" in message
    imported = load_weights(path, network, head="fresh")
    assert imported.fresh == ("head.linear.bias", "head.linear.kernel")
    assert imported.params["head"]["linear"]["kernel"].shape == (24, 7)
    drawn = nnx.to_pure_dict(nnx.state(construct.build(network, jax.random.key(0))))
    expected = flatten_paths(drawn)["head.linear.kernel"]
    np.testing.assert_array_equal(imported.params["head"]["linear"]["kernel"], expected)
    kept = load_weights(path, classifier(VIT)).params["backbone"]["norm"]["scale"]
    np.testing.assert_array_equal(imported.params["backbone"]["norm"]["scale"], kept)


def test_file_without_a_head_needs_a_fresh_one(tmp_path):
    path = saved(tmp_path, VIT, **{"head.weight": None, "head.bias": None})
    assert "2 missing: head.bias, head.weight" in message_of(path, VIT)
    assert load_weights(path, classifier(VIT), head="fresh").fresh == ("head.linear.bias", "head.linear.kernel")


def test_gaussian_starts_fresh(tmp_path):
    path, config = saved(tmp_path, PLAIN_RELATIVE), with_terms(RELATIVE, Gaussian(sigma=3.0))
    imported = load_weights(path, classifier(config))
    assert [name.rpartition(".")[2] for name in imported.fresh] == ["amplitude", "sigma"]
    np.testing.assert_array_equal(flatten_paths(imported.params)["backbone.blocks.attention.bias.gaussian.sigma"], 3.0)
    with_table = with_terms(SWIN, Gaussian())
    assert len(load_weights(saved(tmp_path, SWIN), classifier(with_table)).fresh) == 6


def test_positions_of_another_resolution_are_resampled(tmp_path):
    square = dataclasses.replace(VIT, image_size=(32, 32))
    imported = load_weights(saved(tmp_path, square), classifier(VIT))
    assert imported.resampled == ("pos_embed",)
    assert imported.params["backbone"]["position_embed"].shape == (25, 24)
    square = dataclasses.replace(TABLE, image_size=(12, 12))
    imported = load_weights(saved(tmp_path, square), classifier(TABLE))
    assert len(imported.resampled) == 3
    assert flatten_paths(imported.params)["backbone.blocks.attention.bias.relative.table"].shape == (3, 2, 3, 5)
    wider = dataclasses.replace(SWIN, image_size=(128, 128), window=(8, 8))
    assert len(load_weights(saved(tmp_path, SWIN), classifier(wider)).resampled) == 6


def test_rectangles_need_the_grid_on_which_they_were_made(tmp_path):
    path, square = saved(tmp_path, VIT, states_grid=False), dataclasses.replace(VIT, image_size=(48, 48))
    assert "--source_grid=HEIGHT,WIDTH" in message_of(path, square)
    assert load_weights(path, classifier(square), source_grid=(4, 6)).resampled == ("pos_embed",)


def test_a_named_grid_that_no_tensor_has_is_refused(tmp_path):
    message = message_of(saved(tmp_path, VIT, states_grid=False), VIT, source_grid=(3, 5))
    assert "source_grid is 3 x 5 patches, which the file does not have: it has 24 patches" in message


def test_grid_that_a_file_of_ours_names_is_taken(tmp_path):
    square = dataclasses.replace(VIT, image_size=(48, 48))
    write(tmp_path / "w.safetensors", tensors_for(VIT), metadata={"position_grids": '{"pos_embed": [4, 6]}'})
    imported = load_weights(tmp_path / "w.safetensors", classifier(square))
    assert imported.resampled == ("pos_embed",)
    named = load_weights(saved(tmp_path, VIT), classifier(square), source_grid=(4, 6))
    np.testing.assert_array_equal(
        imported.params["backbone"]["position_embed"], named.params["backbone"]["position_embed"]
    )


def test_a_size_that_no_square_has_is_not_taken_for_the_models_own(tmp_path):
    path, turned = saved(tmp_path, VIT, states_grid=False), dataclasses.replace(VIT, image_size=(48, 32))
    for config in (VIT, turned):
        message = message_of(path, config)
        assert "1 of an unknown grid: pos_embed has 24 patches, which no square grid has" in message
        assert "--source_grid=HEIGHT,WIDTH (start.source_grid in a config)" in message
    assert load_weights(path, classifier(VIT), source_grid=(4, 6)).resampled == ()
    assert load_weights(path, classifier(turned), source_grid=(4, 6)).resampled == ("pos_embed",)


def test_a_grid_that_the_file_states_is_resampled_at_any_size(tmp_path):
    path = saved(tmp_path, VIT)
    given = tensors_for(VIT)["pos_embed"]
    for size, grid in (((48, 32), (6, 4)), ((16, 96), (2, 12)), ((40, 40), (5, 5))):
        imported = load_weights(path, classifier(dataclasses.replace(VIT, image_size=size)))
        expected = Regrid(kind="absolute", source=(4, 6), target=grid, num_extra=1)(given)[0]
        np.testing.assert_array_equal(imported.params["backbone"]["position_embed"], expected)
        assert imported.remarks == ()


def test_a_statement_that_contradicts_the_flag_is_refused(tmp_path):
    message = message_of(saved(tmp_path, VIT), VIT, source_grid=(6, 4))
    assert "pos_embed has 24 patches of 4 x 6 patches by its own statement, and not of 6 x 4" in message


def test_squares_are_assumed_as_timm_does_unless_the_file_states_the_models_grid(tmp_path):
    wide = dataclasses.replace(VIT, image_size=(16, 64))  # 2 x 8 patches, as many as 4 x 4
    path, given = saved(tmp_path, wide, states_grid=False), tensors_for(wide)["pos_embed"]
    imported = load_weights(path, classifier(wide))
    expected = Regrid(kind="absolute", source=(4, 4), target=(2, 8), num_extra=1)(given)[0]
    np.testing.assert_array_equal(imported.params["backbone"]["position_embed"], expected)
    (said,) = imported.remarks
    assert said.startswith(
        "positions are taken to be of 4 x 4 patches, as the file does not say that they are of 2 x 8"
    )
    for options in ({"states_grid": True}, {"states_grid": False}):
        own = load_weights(
            saved(tmp_path, wide, **options),
            classifier(wide),
            source_grid=None if options["states_grid"] else (2, 8),
        )
        np.testing.assert_array_equal(own.params["backbone"]["position_embed"], given[0])
        assert (own.resampled, own.remarks) == ((), ())


CLASSES = ("crow", "gull", "robin", "tit", "wren")


def test_rows_of_the_head_are_found_by_the_names_of_the_classes(tmp_path):
    path, given = saved(tmp_path, VIT, classes=CLASSES), tensors_for(VIT)
    imported = load_weights(path, classifier(VIT, 3), class_names=("wren", "crow", "gull"), head="fitting")
    np.testing.assert_array_equal(imported.params["head"]["linear"]["kernel"], given["head.weight"].T[:, [4, 0, 1]])
    np.testing.assert_array_equal(imported.params["head"]["linear"]["bias"], given["head.bias"][[4, 0, 1]])
    assert (imported.fresh, imported.class_names) == ((), ("wren", "crow", "gull"))
    assert imported.remarks == ("3 of the 5 classes of its head are taken, by name",)
    whole = load_weights(path, classifier(VIT), class_names=CLASSES)
    np.testing.assert_array_equal(whole.params["head"]["linear"]["kernel"], given["head.weight"].T)
    assert (whole.remarks, whole.normalization) == ((), PIXELS)
    assert load_weights(path, classifier(VIT)).class_names == CLASSES


def test_other_classes_of_the_same_number_are_no_fit(tmp_path):
    path, others = saved(tmp_path, VIT, classes=CLASSES), ("crow", "gull", "robin", "tit", "magpie")
    imported = load_weights(path, classifier(VIT), class_names=others, head="fitting")
    assert (imported.has_fresh_head, imported.class_names) == (True, ())
    assert imported.remarks == ("its head is for other classes: it has crow, gull, robin, tit, wren and not magpie",)
    assert "for other classes than the model: it has crow" in message_of(path, VIT, class_names=others)


def test_a_head_with_another_number_of_classes_than_the_file_states_is_refused(tmp_path):
    path = saved(tmp_path, VIT, classes=CLASSES[:3])
    assert "2 with other numbers of classes than the 3 that the file states: head." in message_of(path, VIT)
    message = message_of(path, VIT, num_classes=2, class_names=("gull", "crow"))
    assert "with other numbers of classes than the 3" in message


def test_half_precision_becomes_float32(tmp_path):
    tensors = {name: array.astype(np.float16) for name, array in tensors_for(VIT).items()}
    write(tmp_path / "w.safetensors", tensors)
    imported = load_weights(tmp_path / "w.safetensors", classifier(VIT), source_grid=(4, 6))
    scale = imported.params["backbone"]["norm"]["scale"]
    assert scale.dtype == np.float32
    np.testing.assert_array_equal(scale, tensors["norm.weight"])


def test_buffers_beside_the_weights_are_no_weights(tmp_path):
    index = {"layers.0.blocks.0.attn.relative_position_index": np.zeros((16, 16), np.int64)}
    assert load_weights(saved(tmp_path, SWIN, **index), classifier(SWIN)).fresh == ()


def test_numbers_that_are_not_finite_are_refused(tmp_path):
    path = saved(tmp_path, VIT, **{"norm.bias": np.full(24, np.nan, np.float32)})
    assert "1 with numbers that are not finite: norm.bias" in message_of(path, VIT)


def test_unknown_naming_is_refused(tmp_path):
    write(tmp_path / "w.safetensors", {"encoder\x07.w": np.zeros(2, np.float32)})
    message = message_of(tmp_path / "w.safetensors", VIT)
    assert "names of neither timm nor hugging_face for this model: encoder\\x07.w" in message


def test_larger_tensors_than_the_models_are_refused_unread(tmp_path):
    """The header alone decides: a claim of 1 GB in a file of that size reserves no memory."""
    shape = (1000, 250_000)
    header = json.dumps({"head.weight": {"dtype": "F32", "shape": shape, "data_offsets": [0, 10**9]}}).encode()
    with (tmp_path / "w.safetensors").open("wb") as file:  # sparse: takes no room on disk
        file.write(len(header).to_bytes(8, "little") + header)
        file.truncate(8 + len(header) + 10**9)
    assert "head.weight is (1000, 250000) in the file" in message_of(tmp_path / "w.safetensors", VIT)


@pytest.mark.parametrize("num_mutants", [100, pytest.param(1000, marks=pytest.mark.full)])
def test_mutations_are_loaded_or_refused(tmp_path, num_mutants):
    tiny = dataclasses.replace(VIT, image_size=(8, 8), width=4, depth=1)
    whole = saved(tmp_path, tiny).read_bytes()
    header_end = 8 + int.from_bytes(whole[:8], "little")
    draw = random.Random(1)
    num_loaded = 0
    for _ in range(num_mutants):
        mutant = bytearray(whole)
        for _ in range(draw.randint(1, 3)):
            mutant[draw.randrange(header_end if draw.random() < 0.7 else len(mutant))] = draw.randrange(256)
        (tmp_path / "mutant").write_bytes(mutant)
        try:
            num_loaded += load_weights(tmp_path / "mutant", classifier(tiny)).fresh == ()
        except CheckpointError:
            continue
    assert 0 < num_loaded < num_mutants
