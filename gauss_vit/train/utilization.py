"""Model FLOPs utilisation: the share of the devices' peak that the operations of the model take."""

import dataclasses
from collections.abc import Mapping, Sequence
from types import MappingProxyType

PEAK_TFLOPS: Mapping[str, float] = MappingProxyType(
    {
        "TPU v4": 275.0,
        "TPU v5 lite": 197.0,
        "TPU v5e": 197.0,
        "TPU v5": 459.0,
        "TPU v5p": 459.0,
        "TPU v6 lite": 918.0,
        "TPU v6e": 918.0,
        # Two devices are a chip, of 2,307 TFLOP/s.
        "TPU7x": 1153.5,
        "NVIDIA A10": 125.0,
        "NVIDIA A30": 165.0,
        "NVIDIA A40": 149.7,
        "NVIDIA A100-PCIE-40GB": 312.0,
        "NVIDIA A100-SXM4-40GB": 312.0,
        "NVIDIA A100-SXM4-80GB": 312.0,
        "NVIDIA A100 80GB PCIe": 312.0,
        "NVIDIA L4": 121.0,
        "NVIDIA L40S": 362.0,
        "NVIDIA H100 PCIe": 756.0,
        "NVIDIA H100 NVL": 835.0,
        "NVIDIA H100 80GB HBM3": 989.4,
        "NVIDIA H200": 989.4,
        "NVIDIA B200": 2250.0,
    }
)
"""Peak of dense products in bfloat16 with float32 sums, in 10^12 operations a second, by JAX's `device_kind`.

Source: Google Cloud's pages on TPU versions and NVIDIA's data sheets; where these count sparsity, half of it. A device
that is not listed, such as a slice of a GPU, has no utilisation rather than a wrong one.
"""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Utilization:
    """What a speed is compared with.

    Attributes:
      flops_per_image: Operations of the model for one training image, without recomputation.
      peak_flops: Peak of all devices together, in operations a second.
    """

    flops_per_image: float
    peak_flops: float

    def at(self, images_per_second: float) -> float:
        """Returns the utilisation, from 0 to 1, at a speed.

        >>> Utilization(flops_per_image=2e10, peak_flops=1e14).at(1500.0)
        0.3
        """
        return self.flops_per_image * images_per_second / self.peak_flops


def peak_flops(device_kinds: Sequence[str]) -> float | None:
    """Returns the peak of all devices together, in operations a second; None where one of them is not listed.

    >>> peak_flops(["TPU v4", "TPU v4"]), peak_flops(["TPU v4", "cpu"])
    (550000000000000.0, None)
    """
    peaks = [PEAK_TFLOPS.get(kind) for kind in device_kinds]
    known = [peak for peak in peaks if peak is not None]
    return 1e12 * sum(known) if known and len(known) == len(peaks) else None
