"""The rule that chooses a kernel."""

import dataclasses

import pytest

from gauss_vit.errors import ConfigError
from gauss_vit.kernels.choice import AttentionShape, choose, describe

SMALL = AttentionShape(num_patches=196, head_channels=64)
LARGE = dataclasses.replace(SMALL, num_patches=4096)
HALF = dataclasses.replace(LARGE, dtype="bfloat16", platform="gpu")


@pytest.mark.parametrize(
    ("shape", "change", "kernel"),
    [
        (SMALL, {}, "whole"),
        (LARGE, {}, "rows"),
        (LARGE, {"num_patches": 1023}, "whole"),
        (LARGE, {"num_patches": 1024}, "rows"),
        (LARGE, {"prefix_tokens": 1}, "rows"),
        (LARGE, {"num_patches": 1023, "prefix_tokens": 2}, "whole"),
        (LARGE, {"has_mask": True}, "whole"),
        (LARGE, {"mixes_heads": True}, "reference"),
        (SMALL, {"drops_weights": True}, "reference"),
        (HALF, {}, "rows"),
    ],
)
def test_the_rule_looks_at_the_shape(shape, change, kernel):
    shape = dataclasses.replace(shape, **change)
    assert choose(shape) == kernel
    assert describe(shape).startswith(f"{kernel} (")


@pytest.mark.parametrize(
    ("change", "wanted", "message"),
    [
        ({"mixes_heads": True}, "whole", "heads are mixed"),
        ({"prefix_tokens": 1}, "cudnn", "1 prefix tokens"),
        ({"has_mask": True}, "rows", "masks of their own"),
        ({"dtype": "float32"}, "cudnn", "float32, not bfloat16"),
        ({"platform": "cpu"}, "cudnn", "it needs a GPU, and this is a cpu"),
        ({"num_patches": 49}, "cudnn", "49 tokens are an odd number"),
        ({"num_patches": 576}, "cudnn", "576 tokens are 64 modulo 128"),
        ({"head_channels": 36}, "cudnn", "36 channels a head"),
    ],
)
def test_a_kernel_that_cannot_is_refused(change, wanted, message):
    with pytest.raises(ConfigError, match=message):
        choose(dataclasses.replace(HALF, **change), wanted)


@pytest.mark.parametrize("wanted", ["reference", "whole", "rows", "cudnn"])
def test_a_kernel_that_can_is_taken(wanted):
    assert choose(HALF, wanted) == wanted
    assert describe(HALF, wanted) == f"{wanted} (as configured)"
