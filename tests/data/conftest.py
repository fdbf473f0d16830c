"""What the tests of the data package share."""

from pathlib import Path

import pytest

from gauss_vit.data.sources.digits import prepare_digits


@pytest.fixture(scope="session")
def digits_root(tmp_path_factory) -> Path:
    """A TFDS folder with the embedded digits in it."""
    root = tmp_path_factory.mktemp("tfds")
    prepare_digits(root)
    return root
