"""A run in Python has the weights, classes and image preparation of the command line."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import gauss_vit
from gauss_vit.analysis import PRE_NORM, receptive_field
from gauss_vit.errors import ArrayError, ConfigError, UserError
from tests.tiny_config import get_config

PIXELS = np.random.default_rng(0).integers(0, 256, size=(20, 30, 3), dtype=np.uint8)


@pytest.fixture(scope="module")
def run(workdir: Path) -> gauss_vit.LoadedRun:
    return gauss_vit.load_run(str(workdir))


def test_run_has_its_config_classes_and_newest_step(run: gauss_vit.LoadedRun):
    assert (run.step, run.class_names) == (4, tuple("0123456789"))
    assert run.config.model == get_config().model
    assert set(run.params) == {"backbone", "head"}


def test_pictures_of_every_kind_are_prepared_alike(run: gauss_vit.LoadedRun, tmp_path: Path):
    Image.fromarray(PIXELS).save(tmp_path / "a.png")
    prepared = run.prepare([PIXELS, Image.fromarray(PIXELS), tmp_path / "a.png", str(tmp_path / "a.png")])
    assert prepared.shape == (4, *run.config.model.image_size, 3)
    for image in prepared:
        np.testing.assert_array_equal(image, run.prepare(PIXELS)[0])


def test_preparation_is_that_of_evaluation(run: gauss_vit.LoadedRun):
    data, size = run.config.data, run.config.model.image_size
    resized = np.asarray(data.eval_transform(Image.fromarray(PIXELS), size=size), np.float64)
    np.testing.assert_allclose(run.prepare(PIXELS)[0], (resized / 255 - 0.5) / 0.5, atol=1e-6)


def test_model_returns_the_logits_of_its_classes(run: gauss_vit.LoadedRun):
    assert run.model(run.prepare(PIXELS)).shape == (1, len(run.class_names))


def test_features_have_a_receptive_field(run: gauss_vit.LoadedRun):
    field = receptive_field(run.features(layer=1, protocol=PRE_NORM), run.prepare(PIXELS), protocol=PRE_NORM)
    assert (field.grid, field.values.shape) == (run.config.model.grid, run.config.model.image_size)


def test_array_that_is_no_picture_is_refused(run: gauss_vit.LoadedRun):
    with pytest.raises(ArrayError, match=r"float32 20x30x3; expected RGB bytes, uint8 \[height, width, 3\]"):
        run.prepare(PIXELS.astype(np.float32))


def test_average_and_best_that_a_run_does_not_keep_are_refused(workdir: Path):
    with pytest.raises(ConfigError, match="keeps no moving average"):
        gauss_vit.load_run(workdir, ema=True)
    with pytest.raises(UserError, match="best"):
        gauss_vit.load_run(workdir, best=True)


def test_folder_without_a_run_is_refused(tmp_path: Path):
    with pytest.raises(ConfigError, match="does not contain a run"):
        gauss_vit.load_run(tmp_path)


def test_importing_the_package_imports_nothing_else():
    code = "import sys, gauss_vit; print(sorted({'jax', 'flax', 'numpy', 'PIL', 'matplotlib'} & set(sys.modules)))"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"
