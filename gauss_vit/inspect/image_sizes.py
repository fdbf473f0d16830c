"""Receptive fields of one model at several image sizes: numbers, arrays and a figure side by side."""

from pathlib import Path

from gauss_vit.analysis.comparison import MeasuredField
from gauss_vit.analysis.gaussian_fit import FitBounds, GaussianFit, fit_receptive_fields
from gauss_vit.analysis.summary import half_mass_radius
from gauss_vit.analysis.token import patch_center
from gauss_vit.command_line.table import Alignment, aligned
from gauss_vit.inspect.result_files import FigureFormats, file_names, suffixed, write_figures, write_record
from gauss_vit.plots.sizes import sizes_figure

_HEADING = ("size", "patches", "half mass (px)", "(patches)", "(of the side)", "sigma x", "y", "R2")
_SIDES: tuple[Alignment, ...] = ("left", *(("right",) * 7))


def write_sizes(
    out: Path,
    fields: tuple[MeasuredField, ...],
    *,
    bounds: tuple[FitBounds, ...],
    title: str,
    formats: FigureFormats,
) -> tuple[str, ...]:
    """Writes OUT.json and a figure of the fields.

    Args:
      out: path of the results without a suffix.
      fields: of one token of the same model, by image size.
      bounds: limits of the Gaussian fit at each size.
      title: name and description of the model.
      formats: formats of the figure.

    Returns:
      A table and the names of the files, for a user.

    Raises:
      StorageError: the results cannot be written.
    """
    fits = tuple(
        fit_receptive_fields(field.values[None], bounds=each)[0] for field, each in zip(fields, bounds, strict=True)
    )
    records = [size_numbers(field, fit) for field, fit in zip(fields, fits, strict=True)]
    write_record(suffixed(out, "json"), {"sizes": records})
    write_figures(out, sizes_figure(fields, title=title), formats=formats)
    rows = [_row(field, fit) for field, fit in zip(fields, fits, strict=True)]
    return (
        *aligned([_HEADING, *rows], _SIDES),
        f"{file_names(out, 'json', formats=formats)}: {len(fields)} image sizes",
    )


def size_numbers(field: MeasuredField, fit: GaussianFit) -> dict[str, object]:
    """Returns the numbers of one size: lengths in pixels, in patches along rows, and as a share of the shorter side."""
    height, width = field.values.shape
    radius = _radius(field)
    return {
        "image_size": [height, width],
        "grid": list(field.grid),
        "num_images": field.num_images,
        "half_mass_radius": radius,
        "half_mass_radius_patches": radius * field.grid[0] / height,
        "half_mass_radius_share": radius / min(height, width),
        "gaussian_fit": fit.to_json() | {"objection": fit.objection or None},
    }


def _row(field: MeasuredField, fit: GaussianFit) -> tuple[str, ...]:
    """Formats the numbers of one size; those of a fit that means nothing are left out."""
    height, width = field.values.shape
    radius = _radius(field)
    fitted = ("-", "-", "-") if fit.objection else (f"{fit.sigma_x:.2f}", f"{fit.sigma_y:.2f}", f"{fit.r_squared:.3f}")
    return (
        f"{height} x {width}",
        f"{field.grid[0]} x {field.grid[1]}",
        f"{radius:.1f}",
        f"{radius * field.grid[0] / height:.2f}",
        f"{100 * radius / min(height, width):.1f} %",
        *fitted,
    )


def _radius(field: MeasuredField) -> float:
    return half_mass_radius(field.values, patch_center(field.token, grid=field.grid, image_size=field.values.shape))
