"""Limits of waits are positive numbers."""

import dataclasses
import math

import pytest

from gauss_vit.errors import ConfigError
from gauss_vit.train.limits import Limits


@pytest.mark.parametrize("name", [field.name for field in dataclasses.fields(Limits)])
@pytest.mark.parametrize("value", [0.0, -1.0, math.nan, math.inf])
def test_limit_must_be_a_positive_number(name: str, value: float):
    with pytest.raises(ConfigError, match=rf"limits\.{name} must be a number of seconds > 0, got"):
        Limits(**{name: value})


def test_all_that_is_wrong_is_named():
    with pytest.raises(ConfigError, match=r"limits\.data .*; limits\.step "):
        Limits(data=0.0, step=-1.0)
