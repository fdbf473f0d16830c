"""A UPerNet leaves for transformers or MMSegmentation and comes back with the same numbers, classes and pixels."""

import dataclasses
import functools
import json

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from safetensors.numpy import load_file

from gauss_vit.assembly.export import write_weights
from gauss_vit.assembly.foreign_weights import load
from gauss_vit.assembly.named_model import NamedModel
from gauss_vit.data.images.transforms import ResizeCenterCrop
from gauss_vit.errors import CheckpointError, ConfigError
from gauss_vit.heads.network import NetworkConfig
from gauss_vit.models.construct import abstract
from gauss_vit.ops.pixel_normalization import Normalization
from gauss_vit.position.position import with_terms
from gauss_vit.position.terms.gaussian import Gaussian
from gauss_vit.tasks.segmentation import Segmentation
from gauss_vit.tree import flatten_paths
from gauss_vit.weights.bake import bake
from gauss_vit.weights.published import published
from gauss_vit.weights.safetensors_file import write
from tests.heads.upernet_networks import TINY

CLASSES = ("sky", "tree", "road", "car", "cat")
PIXELS = Normalization(mean=(0.5, 0.4, 0.3), std=(0.2, 0.3, 0.4))
GAUSSIAN = dataclasses.replace(TINY, backbone=with_terms(TINY.backbone, Gaussian()))


@functools.cache
def named(network: NetworkConfig) -> NamedModel:
    """A model whose parameters are all different, after seven updates."""
    random = np.random.default_rng(0)
    params = jax.tree.map(lambda leaf: jnp.float32(random.normal(size=leaf.shape)), abstract(network)[1])
    return NamedModel(
        name="tiny",
        config=network.backbone,
        task=Segmentation(head=network.head),
        params=params,
        step=7,
        eval_transform=ResizeCenterCrop(),
        normalization=PIXELS,
        class_names=CLASSES,
    )


@pytest.mark.parametrize(("library", "name"), [("hugging_face", "folder"), ("mmseg", "w.safetensors")])
def test_there_and_back_is_the_identity(library, name, tmp_path):
    given = named(TINY)
    said, *code = write_weights(given, library, tmp_path / name)
    assert said.endswith("tensors of step 7")
    assert ("AutoModelForSemanticSegmentation.from_pretrained" in code[0]) == (library == "hugging_face")
    imported = load(published(tmp_path / name), TINY, head="file", class_names=CLASSES)
    assert (imported.table, imported.fresh, imported.resampled, imported.ignored) == (library, (), (), ())
    chex.assert_trees_all_equal(imported.params, given.params)
    assert (imported.class_names, imported.head_classes, imported.normalization) == (CLASSES, CLASSES, PIXELS)


@pytest.mark.parametrize("library", ["hugging_face", pytest.param("mmseg", marks=pytest.mark.full)])
def test_gaussian_leaves_as_a_part_of_the_tables(library, tmp_path):
    given = named(GAUSSIAN)
    (said, *_) = write_weights(given, library, tmp_path / "w.safetensors")
    assert said.endswith("of step 7, gaussian baked into the tables")
    imported = load(published(tmp_path / "w.safetensors"), TINY, head="file")
    chex.assert_trees_all_equal(imported.params, jax.device_get(bake(given.config, given.params)[1]))
    tables = {path: leaf for path, leaf in flatten_paths(imported.params).items() if path.endswith("relative.table")}
    own = flatten_paths(given.params)
    assert len(tables) == 4 and all(not np.array_equal(leaf, own[path]) for path, leaf in tables.items())


def test_a_folder_of_transformers_says_what_was_trained_on(tmp_path):
    write_weights(named(TINY), "hugging_face", tmp_path)
    found = published(tmp_path)
    assert (found.class_names, found.num_classes, found.norm_epsilon) == (CLASSES, 5, 1e-5)
    assert (found.normalization, found.crop_fraction, found.stretches) == (PIXELS, None, None)


def test_labels_are_the_classes_of_a_run_unless_its_data_have_others(tmp_path):
    write_weights(named(TINY), "hugging_face", tmp_path / "w")
    path = tmp_path / "w" / "model.safetensors"
    write(path, load_file(path))  # As transformers writes it, without what a file of ours says in its header.
    for data, expected in (((), CLASSES), (("a", "b", "c", "d", "e"), ())):
        imported = load(published(tmp_path / "w"), TINY, head="file", class_names=data)
        assert (imported.class_names, imported.head_classes) == (CLASSES, expected)


def test_another_upernet_of_equal_shapes_is_refused(tmp_path):
    write_weights(named(TINY), "hugging_face", tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps({**config, "pool_scales": [1, 2, 3, 4]}))
    with pytest.raises(CheckpointError, match=r"pool_scales \[1, 2, 3, 4\] and here \[1, 2, 3, 6\]"):
        load(published(tmp_path), TINY, head="file")


def test_windows_that_are_fitted_to_the_maps_are_refused_in_both_directions(tmp_path):
    fitted = dataclasses.replace(
        TINY, backbone=dataclasses.replace(TINY.backbone, windows="fitted", image_size=(128, 128))
    )
    write_weights(named(TINY), "mmseg", tmp_path / "w.safetensors")
    with pytest.raises(ConfigError, match="no UPerNet of MMSegmentation computes the same"):
        load(published(tmp_path / "w.safetensors"), fitted, head="file")
    with pytest.raises(ConfigError, match="no UPerNet of transformers computes the same"):
        write_weights(named(fitted), "hugging_face", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_other_libraries_and_folders_of_mmsegmentation_are_refused(tmp_path):
    with pytest.raises(CheckpointError, match="timm has no names for the parameters of a UPerNetHead"):
        write_weights(named(TINY), "timm", tmp_path / "w.safetensors")
    with pytest.raises(ConfigError, match="MMSegmentation loads no folders"):
        write_weights(named(TINY), "mmseg", tmp_path / "folder")
