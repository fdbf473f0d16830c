"""Figures that are built and not rendered, which takes most of the time of a short verb."""

import contextlib
import io
from collections.abc import Iterator

import pytest
from PIL import Image

from gauss_vit.inspect import evaluation_results, prediction_pictures, result_files
from gauss_vit.studies import page


@contextlib.contextmanager
def undrawn() -> Iterator[None]:
    """Writes a pixel in place of figures: for tests that are not about what a figure shows."""
    pixel = io.BytesIO()
    Image.new("RGB", (1, 1)).save(pixel, "png")
    with pytest.MonkeyPatch.context() as patch:
        for module in (result_files, evaluation_results, prediction_pictures, page):
            patch.setattr(module, "encode", lambda figure, file_format: pixel.getvalue())
        yield
