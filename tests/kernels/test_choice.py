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
        (SMALL, {"platform": "gpu"}, "einsum"),
        (SMALL, {"platform": "tpu", "dtype": "bfloat16"}, "einsum"),
        (LARGE, {"platform": "tpu"}, "rows"),
        (LARGE, {"platform": "tpu", "has_mask": True}, "einsum"),
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
        ({"has_mask": True}, "rows", "masks of their own"),
    ],
)
def test_a_kernel_that_cannot_is_refused(change, wanted, message):
    with pytest.raises(ConfigError, match=message):
        choose(dataclasses.replace(HALF, **change), wanted)


@pytest.mark.parametrize(
    ("change", "kernel", "message"),
    [
        ({"dtype": "float32"}, "rows", "float32, not bfloat16"),
        ({"platform": "cpu"}, "rows", "it needs a GPU, and this is a cpu"),
        ({"head_channels": 36}, "rows", "36 channels a head"),
        ({"head_channels": 256}, "rows", "256 channels a head"),
        ({"mixes_heads": True}, "reference", "heads are mixed"),
        ({"drops_weights": True}, "reference", "weights are dropped"),
        ({"has_mask": True}, "einsum", "masks of their own"),
    ],
)
def test_cudnn_that_cannot_is_as_auto(change, kernel, message):
    shape = dataclasses.replace(HALF, **change)
    assert choose(shape, "cudnn") == choose(shape) == kernel
    assert describe(shape, "cudnn").startswith(f"{kernel} (not cudnn: ")
    assert message in describe(shape, "cudnn")


@pytest.mark.parametrize("change", [{}, {"prefix_tokens": 1}, {"num_patches": 49}, {"num_patches": 576}])
def test_cudnn_is_taken_where_it_is_asked_for_and_can(change):
    shape = dataclasses.replace(HALF, **change)
    assert choose(shape, "cudnn") == "cudnn"
    assert describe(shape, "cudnn") == "cudnn (it agrees with the reference on this GPU)"


def test_auto_never_takes_cudnn():
    # It has to be compared with the reference first, on the device.
    assert choose(HALF) == "rows"
    assert choose(dataclasses.replace(HALF, num_patches=196)) == "einsum"


@pytest.mark.parametrize("wanted", ["reference", "whole", "einsum", "rows"])
def test_a_kernel_that_can_is_taken(wanted):
    assert choose(HALF, wanted) == wanted
    assert describe(HALF, wanted) == f"{wanted} (as configured)"
