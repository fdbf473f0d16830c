"""Mask R-CNN on Swin with MMDetection's weights equals MMDetection's, from the images to the masks, in training too.

`python -m tests.heads.mask_rcnn_parity` measures every quantity.
"""

import pytest

from tests.heads import mask_rcnn_parity

PIXELS = 1e-3
CELLS = 2
"""Cells of the targets of an image's masks that differ as their objects' masks are cut to 112 x 112 cells."""


@pytest.mark.parametrize(
    "compare", [mask_rcnn_parity.trained, pytest.param(mask_rcnn_parity.tested, marks=pytest.mark.full)]
)
def test_model_equals_mmdetection(compare):
    found = compare()
    for quantity, error in found.values.items():
        # Two float32 programs that round differently differ by about 1e-6 of the norm.
        assert error < 1e-5, quantity
    for quantity, distance in found.pixels.items():
        assert distance < PIXELS, quantity
    for quantity, number in found.choices.items():
        assert number <= (CELLS if quantity.startswith("cells") else 0), quantity
