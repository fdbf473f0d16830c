"""Colours of classes in pictures, generated where a data set names none."""

Color = tuple[int, int, int]
"""(red, green, blue), each in 0..255."""

Palette = tuple[Color, ...]
"""One colour for each class index; empty where they are unknown."""


def generated_palette(num_classes: int) -> Palette:
    """Returns the colours of PASCAL VOC without black, which on a photo would look like none: 255 different ones.

    A colour depends on the class index alone, so that data sets of different sizes share those of their first classes.

    >>> generated_palette(4)
    ((128, 0, 0), (0, 128, 0), (128, 128, 0), (0, 0, 128))

    Source: VOC2012 development kit, VOCcolormap.m.
    """
    return tuple(_voc_color(index + 1) for index in range(num_classes))


def _voc_color(number: int) -> Color:
    """Deals the bits of a number out to red, green and blue in turn, from the highest bit of each colour down."""
    red, green, blue = (
        sum((number >> (3 * place + channel) & 1) << (7 - place) for place in range(8)) for channel in range(3)
    )
    return red, green, blue
