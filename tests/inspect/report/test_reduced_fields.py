"""Fields on the page: numbers of the full resolution, maps as fine as there is room."""

import numpy as np
import pytest

from gauss_vit.analysis.gaussian_fit import fit_receptive_fields
from gauss_vit.inspect.report.packing import CompandedMaps, expand, unpack
from gauss_vit.inspect.report.reduced_fields import (
    NUMBERS,
    ReportField,
    end_shape,
    field_document,
    middle_shape,
    report_field,
)
from gauss_vit.ops.grid import Grid
from tests.inspect.report.made_up_report import GRID, IMAGE_SIZE, fields


@pytest.fixture(scope="module")
def packed() -> ReportField:
    maps = fields()
    return report_field(maps, fit_receptive_fields(np.stack([field.values for field in maps])), shape=(6, 10))


def test_maps_are_means_over_blocks_and_numbers_are_of_the_pixels(packed: ReportField):
    blocks = np.stack([field.values.reshape(6, 4, 10, 4).mean(axis=(1, 3)) for field in fields()])
    np.testing.assert_allclose(packed.maps, 1e6 * blocks, rtol=1e-5)
    numbers = dict(zip(NUMBERS, packed.numbers, strict=True))
    np.testing.assert_allclose(np.reshape(numbers["sigma_x"], GRID)[2], [3, 4, 5, 6, 7], rtol=1e-3)
    np.testing.assert_allclose(numbers["sigma_y"], 3, rtol=1e-3)
    np.testing.assert_allclose(numbers["shift_y"], 0, atol=1e-3)


def test_document_has_the_maps_and_the_numbers_and_nothing_where_a_fit_failed(packed: ReportField):
    packed.numbers[0, 3] = np.nan
    document = field_document(packed)
    assert document["numbers"]["sigma_x"][3] is None
    assert document["numbers"]["half_mass_radius"][3] == pytest.approx(packed.numbers[5, 3], rel=1e-4)
    codes = CompandedMaps(codes=unpack(document["codes"]), peaks=unpack(document["peaks"]), is_signed=False)
    np.testing.assert_allclose(expand(codes), packed.maps, atol=packed.maps.max() * (1 / 255 + 1 / 510**2))


@pytest.mark.parametrize(
    ("image_size", "grid", "num_middle", "end", "middle"),
    [
        ((224, 224), (14, 14), 11, (56, 56), (28, 28)),
        ((224, 224), (14, 14), 23, (56, 56), (14, 14)),
        ((224, 224), (7, 7), 1, (112, 112), (112, 112)),
        ((224, 224), (28, 28), 11, (28, 28), (14, 14)),
        ((384, 384), (24, 24), 11, (48, 48), (12, 12)),
        ((518, 518), (37, 37), 23, (37, 37), None),
        (IMAGE_SIZE, GRID, 2, IMAGE_SIZE, IMAGE_SIZE),
        (IMAGE_SIZE, GRID, 0, IMAGE_SIZE, None),
    ],
)
def test_resolutions_follow_the_rule(image_size: Grid, grid: Grid, num_middle: int, end: Grid, middle: Grid | None):
    assert end_shape(image_size, grid) == end
    assert middle_shape(image_size, grid, num_middle) == middle
