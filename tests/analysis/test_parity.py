"""Our maps against OpenERF's on the same weights and files; `record_openerf` recorded them, whole images go through."""

from pathlib import Path

import numpy as np
import pytest

from gauss_vit.data.images.image import open_images
from tests.analysis import parity
from tests.analysis.photos import write_photos


@pytest.fixture(scope="module")
def recorded():
    return dict(np.load(Path(__file__).with_name("openerf_reference.npz")))


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    folder = tmp_path_factory.mktemp("photos")
    write_photos(folder)
    return open_images(folder)


@pytest.mark.parametrize(
    "name",
    [
        "deit_tiny_patch16_224",
        pytest.param("vit_relpos_small_patch16_224", marks=pytest.mark.full),
        pytest.param("swin_tiny_patch4_window7_224", marks=pytest.mark.full),
        pytest.param("xcit_small_24_p16_224", marks=pytest.mark.full),
        pytest.param("swinv2_cr_tiny_ns_224", marks=pytest.mark.full),
    ],
)
def test_maps_are_openerfs(name, recorded, photos):
    values = parity.our_map(parity.named(name, recorded), photos)
    pooled = values.reshape(28, 8, 28, 8).sum(axis=(1, 3))
    found = parity.agreement(pooled, recorded[f"{name}.map"])
    # Float32 rounding of two libraries: 5e-7 was measured for whole maps.
    assert found.relative_l1 < 1e-5
    assert found.correlation > 1 - 1e-9
    assert recorded[f"{name}.num_images"] == 3


def test_bfloat16_maps_are_within_the_error_that_the_guide_states(recorded, photos):
    name = "deit_tiny_patch16_224"
    values = parity.our_map(parity.named(name, recorded), photos, dtype="bfloat16")
    found = parity.agreement(values.reshape(28, 8, 28, 8).sum(axis=(1, 3)), recorded[f"{name}.map"])
    assert 1e-5 < found.relative_l1 < 0.02
    assert found.correlation > 0.999
