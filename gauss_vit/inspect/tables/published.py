"""Numbers that the paper states, to stand beside measured ones; nothing here was computed by this program.

Source: Kim et al., BMVC 2023, tables 1 to 4, and its supplement, tables 1, 3 and 4.
"""

from collections.abc import Mapping
from pathlib import Path

from gauss_vit.data.config import FOLDER, Data

Numbers = tuple[float, ...]
ByData = Mapping[str, Mapping[str, Numbers]]
"""Numbers by the letter of the model, then by the name of the data."""

SIZES: Mapping[str, str] = {
    "vit_relpos_small_patch16_224": "S",
    "vit_relpos_medium_patch16_224": "M",
    "vit_relpos_base_patch16_224": "B",
}
"""The paper's letters for the models that it trains."""

POSITION_FITS: Mapping[str, tuple[Numbers, ...]] = {
    "S": (
        (0.731, 6.837, 7.063),
        (0.798, 4.704, 4.538),
        (0.831, 6.185, 6.392),
        (0.867, 4.757, 5.020),
        (0.753, 6.798, 5.310),
        (0.730, 5.624, 4.631),
        (0.796, 5.872, 4.848),
        (0.805, 4.865, 5.473),
        (0.771, 5.668, 5.681),
        (0.786, 5.111, 6.125),
        (0.231, 8.709, 272.743),
        (0.019, 690.530, 181.928),
    ),
    "M": (
        (0.893, 4.219, 4.113),
        (0.728, 6.257, 5.679),
        (0.824, 4.715, 5.039),
        (0.838, 5.250, 5.355),
        (0.795, 5.597, 4.920),
        (0.694, 8.054, 5.540),
        (0.844, 5.509, 4.660),
        (0.798, 5.715, 5.010),
        (0.729, 5.472, 6.538),
        (0.878, 4.430, 5.348),
        (0.359, 5.824, 298.676),
        (0.002, 396.639, 415.174),
    ),
    "B": (
        (0.914, 4.553, 4.394),
        (0.573, 6.672, 6.719),
        (0.870, 4.649, 4.849),
        (0.813, 4.901, 5.404),
        (0.853, 5.055, 4.807),
        (0.817, 5.421, 4.276),
        (0.877, 6.895, 5.020),
        (0.825, 5.640, 4.006),
        (0.873, 5.328, 4.914),
        (0.896, 5.342, 6.132),
        (0.012, 21.137, 702.646),
        (0.004, 579.639, 332.651),
    ),
}
"""Table 1: R squared, sigma x and sigma y in patches of the relative position bias, layer by layer."""

FIELD_FITS: Mapping[str, Numbers] = {
    "vit_small_patch16_224": (0.819, 6.925, 6.459, 81.388, 96.136),
    "vit_base_patch16_224": (0.032, 159.531, 2068.001, 84.528, 97.294),
    "vit_large_patch16_224": (0.039, 136.167, 2191.316, 85.840, 97.818),
    "vit_relpos_small_patch16_224": (0.784, 5.381, 5.403, 81.462, 95.822),
    "vit_relpos_medium_patch16_224": (0.789, 6.980, 6.190, 82.460, 96.084),
    "vit_relpos_base_patch16_224": (0.782, 6.423, 7.016, 82.496, 96.140),
    "deit_small_patch16_224": (0.813, 5.402, 5.608, 79.852, 95.044),
    "deit_base_patch16_224": (0.820, 5.183, 5.186, 81.990, 95.736),
    "deit3_small_patch16_224": (0.802, 6.212, 6.000, 81.368, 95.460),
    "deit3_base_patch16_224": (0.858, 6.103, 6.179, 83.784, 96.588),
    "deit3_large_patch16_224": (0.849, 6.519, 6.508, 84.774, 97.038),
    "beit_base_patch16_224": (0.694, 12.806, 12.166, 85.210, 97.658),
    "beit_large_patch16_224": (0.721, 15.189, 14.137, 87.476, 98.304),
    "cait_xxs24_224": (0.759, 5.363, 5.369, 78.380, 94.316),
    "cait_s24_224": (0.780, 7.124, 6.676, 83.452, 96.572),
    "xcit_small_24_p16_224": (0.908, 11.755, 11.607, 82.580, 96.010),
    "xcit_medium_24_p16_224": (0.915, 11.228, 11.213, 82.640, 95.982),
    "xcit_large_24_p16_224": (0.921, 11.252, 11.178, 82.896, 95.886),
    "swin_small_patch4_window7_224": (0.203, 97.528, 96.528, 83.208, 96.320),
    "swin_base_patch4_window7_224": (0.285, 128.219, 119.284, 85.266, 97.564),
    "swin_large_patch4_window7_224": (0.333, 102.800, 97.167, 86.316, 97.902),
    "swinv2_small_window8_256": (0.423, 62.451, 62.287, 83.852, 96.644),
    "swinv2_small_window16_256": (0.224, 81.573, 77.192, 84.220, 96.864),
    "swinv2_base_window8_256": (0.531, 50.058, 47.541, 84.252, 96.926),
    "swinv2_base_window16_256": (0.170, 88.263, 84.476, 84.604, 97.088),
}
"""Table 1 of the supplement: R squared, sigma x and y in pixels of the receptive field, top-1 and top-5 in per cent."""

FROM_SCRATCH: Mapping[str, Numbers] = {"S": (80.567, 80.724), "M": (81.224, 81.249), "B": (81.381, 81.484)}
"""Table 2: top-1 on ImageNet-1K in per cent, without and with the Gaussian, mean of three runs."""

FINE_TUNED: Mapping[str, Mapping[str, Numbers]] = {
    "S": {
        "pet": (91.486, 92.780),
        "caltech101": (88.403, 90.202),
        "cars": (80.126, 83.079),
        "dogs": (81.535, 82.507),
    },
    "M": {
        "pet": (92.810, 92.960),
        "caltech101": (89.132, 89.983),
        "cars": (80.731, 83.890),
        "dogs": (85.088, 85.714),
    },
    "B": {
        "pet": (93.381, 93.743),
        "caltech101": (89.254, 89.570),
        "cars": (80.154, 82.612),
        "dogs": (89.256, 90.185),
    },
}
"""Table 3: test top-1 in per cent, without and with the Gaussian, mean of three runs."""

DENSE: Mapping[str, Numbers] = {"without": (48.12, 43.03, 46.16, 81.82), "with": (48.23, 43.13, 46.41, 82.09)}
"""Table 4, Swin-S: box and mask AP on COCO, mIoU and aAcc on ADE20K, in per cent."""

LEARNED: Mapping[str, Mapping[str, Numbers]] = {
    "S": {"pet": (1.987, 4.996), "caltech101": (1.946, 5.012), "cars": (2.334, 4.839), "dogs": (1.949, 4.979)},
    "M": {"pet": (1.991, 4.997), "caltech101": (1.956, 5.011), "cars": (2.316, 4.845), "dogs": (1.937, 4.988)},
    "B": {"pet": (1.940, 5.007), "caltech101": (1.918, 5.014), "cars": (2.262, 4.846), "dogs": (1.895, 5.006)},
}
"""Table 3 of the supplement: amplitude and sigma in patches, means over layers, at the best epoch."""

BY_HEAD: Mapping[str, Mapping[str, Numbers]] = {
    "pet": {"validation": (93.682, 93.923, 93.773), "test": (91.486, 92.780, 92.509)},
    "caltech101": {"validation": (89.959, 91.296, 91.126), "test": (88.403, 90.202, 90.591)},
    "cars": {"validation": (81.294, 84.205, 84.411), "test": (80.126, 83.079, 82.928)},
    "dogs": {"validation": (82.777, 83.188, 83.501), "test": (81.535, 82.507, 81.438)},
}
"""Table 4 of the supplement, ViT-S (R): top-1 in per cent without a Gaussian, with one a layer, and with one a head."""


def data_name(data: Data) -> str:
    """Names the data of a run: a folder of images by its own name, such as `pet`, as in `configs/finetune.py`."""
    return Path(data.data_dir).name if data.name == FOLDER else data.name
