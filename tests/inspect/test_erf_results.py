"""What a user reads first of a receptive field: the half-mass radius, and a fit only where it means something."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest

from gauss_vit.analysis.erf import ErfMap
from gauss_vit.analysis.protocol import BMVC2023
from gauss_vit.inspect.erf_results import write_maps
from gauss_vit.inspect.erf_run import Measurement
from gauss_vit.inspect.titles import description, title_of
from gauss_vit.models.presets import PRESETS
from tests.named_models import named_of

SIZE, GRID = (32, 48), (4, 6)
MEASUREMENT = Measurement(tokens=((1, 2),), layer=None, protocol=BMVC2023, images=(), batch_size=8, stem="tiny")


def field(values: np.ndarray) -> ErfMap:
    return ErfMap(values=values / values.sum(), magnitude=1.0, num_images=3, token=(1, 2), grid=GRID, protocol=BMVC2023)


def gaussian(sigma: float) -> np.ndarray:
    row, column = np.ix_(np.arange(SIZE[0]), np.arange(SIZE[1]))
    return np.exp(-((row - 11.5) ** 2 + (column - 19.5) ** 2) / (2 * sigma**2))


def written(tmp_path: Path, values: np.ndarray) -> tuple[str, dict]:
    line = write_maps(tmp_path, named_of(), MEASUREMENT, (field(values),))
    return line, json.loads((tmp_path / "tiny.json").read_text())


def test_a_good_fit_follows_the_radius(tmp_path: Path):
    line, record = written(tmp_path, gaussian(4.0))
    # Half of a Gaussian's mass is within sigma sqrt(2 ln 2).
    assert "3 images, half of the mass within 4.7 px of the target; Gaussian fit: sigma x 4.00 y 4.00 px" in line
    assert record["gaussian_fit"]["objection"] is None


def test_a_fit_narrower_than_a_pixel_is_not_quoted(tmp_path: Path):
    line, record = written(tmp_path, gaussian(0.4))
    assert "sigma x" not in line
    assert "a Gaussian does not describe the field: sigma 0.40 px is less than a pixel" in line
    assert record["gaussian_fit"]["sigma_x"] == pytest.approx(0.4, abs=1e-3)
    assert "less than a pixel" in record["gaussian_fit"]["objection"]


def test_a_fit_that_explains_little_is_not_quoted(tmp_path: Path):
    noise = np.random.default_rng(0).random(SIZE)
    line, record = written(tmp_path, 0.3 * gaussian(3.0) + noise)
    assert "sigma x" not in line and "is below 0.5" in line
    assert record["gaussian_fit"]["r_squared"] < 0.5


def test_several_tokens_lead_with_the_median_radius(tmp_path: Path):
    maps = tuple(field(values) for values in (gaussian(4.0), gaussian(4.0), gaussian(0.4)))
    line = write_maps(tmp_path, named_of(), MEASUREMENT, maps)
    expected = (
        "3 tokens, half of the mass within 4.7 px of the target in the median, a Gaussian describes 2 of 3 fields"
    )
    assert expected in line


def test_titles_name_the_run_its_step_and_the_model():
    assert title_of(named_of(name="digits")) == "digits, step 5\nViT, 2 layers, Gaussian"
    preset = dataclasses.replace(named_of(name="deit"), step=0, config=PRESETS["deit_tiny_patch16_224"])
    assert title_of(preset, part="stage1") == "deit, stage1\nViT, 12 layers, AbsoluteEmbedding"
    swin = PRESETS["swin_tiny_patch4_window7_224"]
    assert description(swin) == "Swin, 12 layers, RelativeTable"
