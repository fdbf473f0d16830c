"""Boxes over a photo: a frame around each object, and what it is."""

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.patches import Rectangle
from matplotlib.patheffects import withStroke

from gauss_vit.palette import Color
from gauss_vit.plots.canvas import TICK_SIZE
from gauss_vit.tasks.label_map import LabelledBox

_FRAME_POINTS, _PADDING_POINTS = 1.2, 1.2
_CAPTION_INCHES = (TICK_SIZE + 4 * _PADDING_POINTS) / 72
"""Height of a caption."""
_LETTER_INCHES = 0.62 * TICK_SIZE / 72
_FRAMES, _CAPTIONS = 2, 3
"""Layers: no frame crosses a caption."""


def draw_boxes(axes: Axes, boxes: Sequence[LabelledBox], *, inches_per_pixel: float, has_captions: bool) -> None:
    """Draws the frames of boxes, with a caption at the upper left corner of each; the first ones are on top.

    Args:
      axes: axes that show the photo, in pixels from the centre of the first one.
      boxes: boxes, the most important first.
      inches_per_pixel: length of the side of a pixel.
      has_captions: whether captions are written.
    """
    for box in reversed(boxes):
        y0, x0, y1, x1 = (side - 0.5 for side in box.yxyx)
        colour = _hex(box.label.colour)
        frame = Rectangle((x0, y0), x1 - x0, y1 - y0, fill=False, edgecolor=colour, linewidth=_FRAME_POINTS)
        frame.set(path_effects=[withStroke(linewidth=_FRAME_POINTS + 0.8, foreground="white")], zorder=_FRAMES)
        axes.add_patch(frame)
        if has_captions:
            _write_caption(axes, box, inches_per_pixel=inches_per_pixel)


def _write_caption(axes: Axes, box: LabelledBox, *, inches_per_pixel: float) -> None:
    """Writes above a box, or in it where there is no room above, and never beyond the right edge of the photo."""
    y0, x0 = box.yxyx[0] - 0.5, box.yxyx[1] - 0.5
    is_inside = y0 * inches_per_pixel < _CAPTION_INCHES
    right = max(axes.get_xlim())
    ends_beyond = (right - x0) * inches_per_pixel < _LETTER_INCHES * len(box.caption)
    text = axes.annotate(
        box.caption,
        (right if ends_beyond else x0, y0),
        xytext=(
            -_PADDING_POINTS if ends_beyond else _PADDING_POINTS,
            -_PADDING_POINTS if is_inside else _PADDING_POINTS,
        ),
        textcoords="offset points",
        ha="right" if ends_beyond else "left",
        va="top" if is_inside else "bottom",
        fontsize=TICK_SIZE,
        color="white" if _is_dark(box.label.colour) else "black",
        bbox={"facecolor": _hex(box.label.colour), "edgecolor": "none", "pad": _PADDING_POINTS},
        zorder=_CAPTIONS,
        annotation_clip=False,
        parse_math=False,
    )
    text.set_clip_on(True)


def _is_dark(colour: Color) -> bool:
    """Whether white can be read on a colour, by its luma (ITU-R BT.601)."""
    red, green, blue = colour
    return 0.299 * red + 0.587 * green + 0.114 * blue < 140


def _hex(colour: Color) -> str:
    return f"#{bytes(colour).hex()}"
