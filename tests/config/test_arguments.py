"""The argument of a family of configs: keys with choices, all of them known."""

import pytest

from gauss_vit.config.arguments import choose
from gauss_vit.errors import ConfigError

CHOICES = {"model": ("s16", "b16"), "bias": ("gauss", "none")}


@pytest.mark.parametrize(
    ("argument", "expected"),
    [
        ("", {"model": "s16", "bias": "gauss"}),
        ("bias=none", {"model": "s16", "bias": "none"}),
        ("bias=gauss, model=b16", {"model": "b16", "bias": "gauss"}),
    ],
)
def test_what_is_left_out_is_the_first_choice(argument: str, expected: dict):
    assert choose(argument, CHOICES) == expected


@pytest.mark.parametrize(
    "argument", ["none", "bias", "bias=", "bias=other", "size=b16", "bias=none,bias=none", "bias=none=1"]
)
def test_anything_else_is_refused_with_all_that_there_is(argument: str):
    with pytest.raises(ConfigError, match="not understood") as caught:
        choose(argument, CHOICES)
    assert "model=s16|b16,bias=gauss|none" in caught.value.do
