"""What masks hold, as a table for a terminal: the share of labelled pixels that each class has, and its masks."""

from collections.abc import Sequence

from gauss_vit.class_names import listed
from gauss_vit.command_line.table import aligned
from gauss_vit.data.mask_counts import MaskCounts
from gauss_vit.metrics.percent import percent

_LONGEST_BAR = 30


def mask_lines(counts: MaskCounts, class_names: Sequence[str], *, limit: int | None, mark: str = "#") -> list[str]:
    """Describes masks in lines: all in all, a row for each class from the most frequent to the rarest, and the absent.

    Args:
      counts: what masks hold.
      class_names: one name for each class index.
      limit: most rows; None is any number.
      mark: character that bars are made of, the longest of which are 30 long.
    """
    present = [index for index in range(len(class_names)) if counts.num_pixels[index]]
    present.sort(key=lambda index: (-counts.num_pixels[index], index))
    absent = [class_names[index] for index in range(len(class_names)) if not counts.num_pixels[index]]
    shown = present[:limit]
    lines = [_summary(counts, num_present=len(present), num_classes=len(class_names))]
    if shown:
        lines += aligned(_rows(counts, class_names, shown, mark=mark), ("left", "right", "left", "right"))
    if len(shown) < len(present):
        rest = sum(counts.num_pixels[index] for index in present[len(shown) :])
        lines.append(f"{len(present) - len(shown)} more classes have {_share(rest / counts.num_labelled)} together")
    if absent:
        lines.append(f"in no mask: {listed(absent)}")
    return lines


def _summary(counts: MaskCounts, *, num_present: int, num_classes: int) -> str:
    ignored = f"{percent(counts.ignored_share)} of the pixels ignored"
    empty = f", {counts.num_empty:,} masks ignored everywhere" if counts.num_empty else ""
    return f"{counts.num_masks:,} masks with {num_present} of {num_classes} classes; {ignored}{empty}"


def _rows(
    counts: MaskCounts, class_names: Sequence[str], shown: Sequence[int], *, mark: str
) -> list[tuple[str, str, str, str]]:
    most = counts.num_pixels[shown[0]]
    rows = [("class", "pixels", "", "masks")]
    for index in shown:
        num_pixels = counts.num_pixels[index]
        bar = mark * round(_LONGEST_BAR * num_pixels / most)
        rows.append((class_names[index], _share(num_pixels / counts.num_labelled), bar, f"{counts.num_with[index]:,}"))
    return rows


def _share(share: float) -> str:
    """Formats a share that is not 0, so that it does not look like it."""
    return percent(share) if share >= 0.001 else "< 0.1 %"
