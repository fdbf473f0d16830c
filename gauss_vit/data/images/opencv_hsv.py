"""Hue, saturation and value of 8-bit images as OpenCV converts them: hue in 0..179 (two degrees), the others in 0..255.

Source: OpenCV 4, modules/imgproc/src/color_hsv.simd.hpp: `RGB2HSV_b`, `HSV2RGB_b`.
"""

import numpy as np
from jaxtyping import Float, Int, UInt8

NUM_HUES = 180
_SHIFT = 12


def _reciprocals(numerator: int) -> Int[np.ndarray, "256"]:
    """numerator / n for n in 0..255 as integers of 12 more bits; 0 for n = 0."""
    with np.errstate(divide="ignore"):
        quotients = np.rint(numerator * 2**_SHIFT / np.arange(256))
    quotients[0] = 0
    return quotients.astype(np.int32)


def _distances() -> Float[np.ndarray, "3 180"]:
    """How far red, green and blue are below the value at each hue, as a share of saturation times value."""
    sixths = np.arange(NUM_HUES, dtype=np.float32) * np.float32(6 / NUM_HUES)
    sector = sixths.astype(np.int32)
    rise = sixths - sector.astype(np.float32)
    zero, one, fall = np.zeros_like(rise), np.ones_like(rise), 1 - rise
    red = np.choose(sector, [zero, rise, one, one, fall, zero])
    green = np.choose(sector, [fall, zero, zero, rise, one, one])
    blue = np.choose(sector, [one, one, fall, zero, zero, rise])
    return np.stack([red, green, blue]).astype(np.float64)


_SATURATION_OVER, _HUE_OVER, _DISTANCES = _reciprocals(255), _reciprocals(NUM_HUES // 6), _distances()

Plane = UInt8[np.ndarray, "height width"]


def to_hsv(pixels: UInt8[np.ndarray, "height width 3"]) -> tuple[Plane, Plane, Plane]:
    """Converts an RGB image to hue, saturation and value, as `cv2.COLOR_RGB2HSV` does."""
    red, green, blue = np.ascontiguousarray(np.moveaxis(pixels, 2, 0)).astype(np.int32)
    value = np.maximum(np.maximum(red, green), blue)
    chroma = value - np.minimum(np.minimum(red, green), blue)
    is_red, is_green = value == red, value == green
    offset = np.where(is_red, green - blue, np.where(is_green, blue - red + 2 * chroma, red - green + 4 * chroma))
    hue = _rounded(offset * _HUE_OVER[chroma])
    hue += (hue < 0) * NUM_HUES
    saturation = _rounded(chroma * _SATURATION_OVER[value])
    return hue.astype(np.uint8), saturation.astype(np.uint8), value.astype(np.uint8)


def from_hsv(hue: Plane, saturation: Plane, value: Plane) -> UInt8[np.ndarray, "height width 3"]:
    """Converts hue (0..179), saturation and value to an RGB image, as `cv2.COLOR_HSV2RGB` does.

    Values are rounded down, and a product and the sum with it once, as OpenCV's vector code does on processors with
    fused multiply-add; what is left at the ends of rows it rounds to nearest.
    """
    unit = np.float32(1 / 255)
    brightest, share = value * unit, (saturation * unit).astype(np.float64)
    pixels = np.empty((*hue.shape, 3), np.uint8)
    for channel, distances in enumerate(_DISTANCES):
        kept = (1 - share * distances[hue]).astype(np.float32)
        pixels[:, :, channel] = brightest * kept * np.float32(255)
    return pixels


def _rounded(scaled: Int[np.ndarray, "height width"]) -> Int[np.ndarray, "height width"]:
    """Divides by 2^12, to the nearest integer."""
    return (scaled + (1 << (_SHIFT - 1))) >> _SHIFT
