"""Peaks are those that JAX knows, and of devices that are listed alone."""

import jax.experimental.pallas.tpu as tpu
import pytest

from gauss_vit.train.utilization import PEAK_TFLOPS, peak_flops

CHIPS = {
    "TPU v4": (tpu.ChipVersion.TPU_V4, 2),
    "TPU v5 lite": (tpu.ChipVersion.TPU_V5E, 1),
    "TPU v5e": (tpu.ChipVersion.TPU_V5E, 1),
    "TPU v5": (tpu.ChipVersion.TPU_V5P, 2),
    "TPU v5p": (tpu.ChipVersion.TPU_V5P, 2),
    "TPU v6 lite": (tpu.ChipVersion.TPU_V6E, 1),
    "TPU v6e": (tpu.ChipVersion.TPU_V6E, 1),
    "TPU7x": (tpu.ChipVersion.TPU_7X, 1),
}
"""Chip and number of cores of each device."""


def test_peaks_of_tpus_are_those_of_jax():
    assert {kind for kind in PEAK_TFLOPS if kind.startswith("TPU")} == CHIPS.keys()
    for kind, (chip, num_cores) in CHIPS.items():
        info = tpu.get_tpu_info_for_chip(chip, num_cores)
        # The two round the figures of data sheets to three digits.
        assert PEAK_TFLOPS[kind] * 1e12 == pytest.approx(num_cores * info.bf16_ops_per_second, rel=0.005)


@pytest.mark.parametrize("kinds", [["cpu"], [], ["NVIDIA A100-SXM4-40GB MIG 3g.20gb"], ["NVIDIA H200", "NVIDIA A10G"]])
def test_devices_that_are_not_listed_have_no_peak(kinds: list[str]):
    assert peak_flops(kinds) is None
