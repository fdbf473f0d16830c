"""A head of another kind on the backbone of given weights: the backbone is carried, the head is new; that is said."""

import dataclasses

import jax
import numpy as np
import pytest

from gauss_vit.errors import CheckpointError
from gauss_vit.heads.network import NetworkConfig
from gauss_vit.heads.stock import stock_head
from gauss_vit.models.construct import abstract
from gauss_vit.position.position import with_terms
from gauss_vit.position.terms.gaussian import Gaussian
from gauss_vit.tree import flatten_paths
from gauss_vit.weights.head_classes import class_parameters
from gauss_vit.weights.names import naming
from gauss_vit.weights.names.name_tables import NAME_TABLES
from gauss_vit.weights.pretrained import load_weights
from gauss_vit.weights.safetensors_file import write
from gauss_vit.weights.start import carry_over
from tests.heads.upernet_networks import TINY, tensors_of
from tests.models import deterministic
from tests.networks import classifier

FITTED = dataclasses.replace(TINY.backbone, windows="fitted", image_size=(128, 128))
IMAGENET = NetworkConfig(backbone=FITTED, head=stock_head(FITTED, 10))
GAUSSIAN = dataclasses.replace(TINY, backbone=with_terms(TINY.backbone, Gaussian()))


def classifier_file(tmp_path, library="timm"):
    """Weights of a classifier on the backbone, as ImageNet's are; timm's with the masks of shifted windows."""
    wanted = naming.expected(NAME_TABLES[library](IMAGENET), abstract(IMAGENET)[1])
    tensors = {name: deterministic.tensor(name, each.shape) for name, each in wanted.items()}
    mask = {"layers.0.blocks.1.attn_mask": np.zeros((64, 16, 16), np.float32)} if library == "timm" else {}
    write(tmp_path / "w.safetensors", tensors | mask)
    return tmp_path / "w.safetensors", tensors


def drawn(network, seed=0):
    """Parameters of a network, all of them different."""
    random = np.random.default_rng(seed)
    return jax.tree.map(lambda leaf: random.normal(size=leaf.shape).astype(np.float32), abstract(network)[1])


@pytest.mark.parametrize("library", ["timm", "hugging_face"])
def test_backbone_of_a_classifier_is_carried_with_its_last_norm(library, tmp_path):
    path, tensors = classifier_file(tmp_path, library)
    imported = load_weights(path, GAUSSIAN, head="fitting")
    leaves = flatten_paths(imported.params)
    own = flatten_paths(naming.from_theirs(tensors, NAME_TABLES[library](IMAGENET), abstract(IMAGENET)[1]))
    for name, array in own.items():
        if name.startswith("backbone."):
            np.testing.assert_array_equal(leaves[name], array)
    assert all(name.startswith("head.") or "gaussian" in name for name in imported.fresh)
    assert {name for name in leaves if name.startswith("head.")} <= set(imported.fresh)
    assert imported.resampled == imported.notes() == ()


def test_a_new_head_is_said_in_one_short_line_and_has_the_statistics_of_an_untrained_one(tmp_path):
    imported = load_weights(classifier_file(tmp_path)[0], TINY, head="fresh")
    num_arrays = sum(name.startswith("head.") for name in flatten_paths(imported.params))
    assert imported.fresh_parts == (f"the head ({num_arrays} arrays)",)
    norm = imported.params["head"]["fusion"]["batch_norm"]
    np.testing.assert_array_equal(norm["mean"], 0)
    np.testing.assert_array_equal(norm["variance"], 1)


def test_a_head_that_is_required_is_not_replaced_by_a_new_one(tmp_path):
    with pytest.raises(CheckpointError, match=r"with a head of another kind.* DO: .*--head=fresh"):
        load_weights(classifier_file(tmp_path)[0], TINY, head="file")


def test_incomplete_backbone_is_refused_also_under_a_new_head(tmp_path):
    path, tensors = classifier_file(tmp_path)
    write(path, {name: array for name, array in tensors.items() if name != "norm.weight"})
    with pytest.raises(CheckpointError, match=r"1 missing: norm\.weight"):
        load_weights(path, TINY, head="fresh")


def test_a_run_of_a_classifier_starts_a_decoder():
    given = drawn(IMAGENET)
    imported = carry_over(given, GAUSSIAN, source=FITTED, head="fitting", seed=0)
    leaves = flatten_paths(imported.params)
    for name, array in flatten_paths(given["backbone"]).items():
        np.testing.assert_array_equal(leaves[f"backbone.{name}"], array)
    assert {name for name in leaves if name.startswith("head.")} <= set(imported.fresh)
    with pytest.raises(CheckpointError, match="with a head of another kind"):
        carry_over(given, TINY, source=FITTED, head="file", seed=0)


def test_equal_classes_do_not_make_a_classifier_a_decoder():
    names = ("a", "b", "c", "d", "e")
    given = drawn(classifier(FITTED, 5))
    imported = carry_over(given, TINY, source=FITTED, head="fitting", seed=0, given_classes=names, class_names=names)
    assert imported.has_fresh_head


def test_rows_of_other_classes_are_those_of_the_classifiers_alone():
    """The tiny head has as many channels as this model has classes: only what is a class is chosen."""
    many = dataclasses.replace(TINY, head=dataclasses.replace(TINY.head, num_classes=TINY.head.channels))
    names, given = tuple(f"class {index}" for index in range(TINY.head.channels)), drawn(many)
    chosen = (7, 3, 11, 0, 23)
    imported = carry_over(
        given,
        TINY,
        source=TINY.backbone,
        head="file",
        seed=0,
        given_classes=names,
        class_names=[names[index] for index in chosen],
    )
    head, own = imported.params["head"], given["head"]
    np.testing.assert_array_equal(head["fusion"]["convolution"]["kernel"], own["fusion"]["convolution"]["kernel"])
    np.testing.assert_array_equal(head["classifier"]["kernel"], own["classifier"]["kernel"][..., chosen])
    np.testing.assert_array_equal(
        head["auxiliary"]["classifier"]["bias"], own["auxiliary"]["classifier"]["bias"][[*chosen]]
    )


def test_class_parameters_are_kernels_and_biases_of_classifiers():
    assert set(class_parameters(TINY)) == {
        f"head.{place}classifier.{leaf}" for place in ("", "auxiliary.") for leaf in ("kernel", "bias")
    }
    assert set(class_parameters(classifier(FITTED))) == {"head.linear.kernel", "head.linear.bias"}


def test_rows_of_a_file_are_found_by_name(tmp_path):
    tensors = tensors_of("mmseg", "tiny")
    write(tmp_path / "w.safetensors", tensors, metadata={"class_names": '["sky", "tree", "road", "car", "cat"]'})
    three = dataclasses.replace(TINY, head=dataclasses.replace(TINY.head, num_classes=3))
    imported = load_weights(tmp_path / "w.safetensors", three, class_names=("cat", "sky", "road"))
    weight = tensors["decode_head.conv_seg.weight"]
    kernel = imported.params["head"]["classifier"]["kernel"]
    np.testing.assert_array_equal(kernel[0, 0], weight[[4, 0, 2], :, 0, 0].T)
    assert imported.class_names == ("cat", "sky", "road") and imported.fresh == ()
