"""Weight files as wrappers and base models write them: the same parameters, and what was left off is said."""

import jax
import numpy as np
import pytest

from gauss_vit.weights.detection import shared_prefixes
from gauss_vit.weights.pretrained import load_weights
from gauss_vit.weights.safetensors_file import write
from tests.networks import classifier
from tests.weights.hugging_face_models import SWIN, VIT
from tests.weights.names.test_hugging_face_names import tensors_of
from tests.weights.test_pretrained import message_of, tensors_for


def load(tmp_path, tensors, config=VIT, **options):
    write(tmp_path / "w.safetensors", tensors)
    return load_weights(
        tmp_path / "w.safetensors", classifier(config), source_grid=config.stages()[0].window, **options
    )


def assert_equal(imported, reference):
    jax.tree.map(np.testing.assert_array_equal, imported.params, reference.params)


@pytest.mark.parametrize("prefix", ["module.", "model.", "_orig_mod.", "backbone.", "vit.", "module._orig_mod.model."])
def test_prefix_of_all_names_is_taken_off_and_said(prefix, tmp_path):
    tensors = tensors_for(VIT)
    imported = load(tmp_path, {prefix + name: array for name, array in tensors.items()})
    assert imported.prefix == prefix
    assert imported.notes() == (f"the prefix {prefix} is taken off every name",)
    assert_equal(imported, load(tmp_path, tensors))


def test_wrapped_hugging_face_file_keeps_its_own_root(tmp_path):
    tensors = tensors_of("vit")
    imported = load(tmp_path, {f"model.{name}": array for name, array in tensors.items()})
    assert (imported.table, imported.prefix) == ("hugging_face", "model.")
    assert_equal(imported, load(tmp_path, tensors))


def test_base_model_lacks_the_root_and_has_a_pooler(tmp_path):
    tensors = tensors_of("vit")
    base = {name.removeprefix("vit."): array for name, array in tensors.items() if not name.startswith("classifier")}
    base |= {"pooler.dense.weight": np.ones((24, 24), np.float32), "pooler.dense.bias": np.ones(24, np.float32)}
    imported = load(tmp_path, base, head="fresh")
    assert imported.notes() == ("not used by this model and ignored: pooler.dense.bias, pooler.dense.weight",)
    assert_equal(imported, load(tmp_path, tensors, head="fresh"))
    assert "--head=fresh" in message_of(tmp_path / "w.safetensors", VIT, 7)


def test_swin_base_model_is_read(tmp_path):
    tensors = tensors_of("swin")
    base = {name.removeprefix("swin."): array for name, array in tensors.items() if not name.startswith("classifier")}
    assert_equal(load(tmp_path, base, SWIN, head="fresh"), load(tmp_path, tensors, SWIN, head="fresh"))


def test_prefix_of_some_names_only_stays(tmp_path):
    tensors = tensors_for(VIT)
    tensors["module.norm.bias"] = tensors.pop("norm.bias")
    write(tmp_path / "w.safetensors", tensors)
    message = message_of(tmp_path / "w.safetensors", VIT)
    assert "1 missing: norm.bias" in message and "1 unexpected: module.norm.bias" in message


def test_name_of_very_many_components_is_cheap():
    assert len(shared_prefixes(["a." * 1_000_000 + "b"])) == 9
    assert shared_prefixes([]) == ("",)
