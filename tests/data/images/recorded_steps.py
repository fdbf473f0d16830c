"""The steps of photometric distortion whose results by MMSegmentation are in opencv.npz."""

STEPS = (
    {"brightness": 31.4},
    {"brightness": -20.75},
    {"contrast": 1.37},
    {"contrast": 0.61},
    {"saturation": 1.41},
    {"saturation": 0.52},
    {"hue": 17},
    {"hue": -18},
    {"brightness": 12.3, "contrast": 0.83, "is_contrast_first": True, "saturation": 0.71, "hue": -7},
    {"brightness": -29.1, "contrast": 1.22, "is_contrast_first": False, "saturation": 1.18, "hue": 11},
)
