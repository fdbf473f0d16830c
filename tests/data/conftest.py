"""What the tests of the data package share."""

import functools
from pathlib import Path

import pytest

from gauss_vit.data.prepare.plans import Plan, Record, write
from gauss_vit.data.sources.digits import SPLITS, DigitsDataSet


def digit_records(split):
    """The digits as records that are named by their place in the table."""
    source = DigitsDataSet().open(split)
    for index, row in enumerate(source.rows):
        example = source[index]
        yield Record(image=example.image, label=int(example.targets.label), file_name=f"{row:04d}.png")


@pytest.fixture(scope="session")
def digits_root(tmp_path_factory) -> Path:
    """A TFDS folder in which the digits are prepared."""
    root = tmp_path_factory.mktemp("tfds")
    plan = Plan(
        name="digits",
        version="1.0.0",
        description="Digits.",
        class_names=tuple("0123456789"),
        splits={split: functools.partial(digit_records, split) for split in SPLITS},
    )
    write(plan, root)
    return root
