"""Receptive fields that were measured before: read back, compared with the first one, and drawn in one figure."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from gauss_vit.analysis.comparison import FieldDifference, MeasuredField, difference
from gauss_vit.analysis.summary import half_mass_radius
from gauss_vit.analysis.token import patch_center
from gauss_vit.errors import ConfigError, DataError
from gauss_vit.inspect.npz_file import array_names, read_npz
from gauss_vit.inspect.result_files import (
    DEFAULT_FORMATS,
    FigureFormats,
    file_names,
    suffixed,
    write_arrays,
    write_figures,
    write_record,
)
from gauss_vit.inspect.titles import shortest_names
from gauss_vit.plots.comparison import MAX_FIELDS, comparison_figure

_LONGEST_TITLE = 200
_LARGEST_EXCESS = 1e-6
_OF_A_FIELD = frozenset({"erf", "token", "radial_mass"})


def write_comparison(
    out: Path, fields: tuple[MeasuredField, ...], *, formats: FigureFormats = DEFAULT_FORMATS
) -> tuple[str, ...]:
    """Compares receptive fields with the first of them, in OUT.json, OUT.npz and a figure.

    Returns:
      The lines that tell a user what came out and what was written.

    Raises:
      ConfigError: there are fewer than two fields, or too many, or of different sizes.
      StorageError: the results cannot be written.
    """
    if not 2 <= len(fields) <= MAX_FIELDS:
        raise ConfigError(
            f"compare takes 2 to {MAX_FIELDS} receptive fields and got {len(fields)}", do="name .npz files of erf"
        )
    fields = _with_unique_titles(fields)
    changes = tuple(difference(field, fields[0]) for field in fields[1:])
    figure = comparison_figure(fields)
    write_arrays(suffixed(out, "npz"), _arrays(fields, changes))
    write_record(suffixed(out, "json"), _record(fields, changes))
    write_figures(out, figure, formats=formats)
    return (
        *(
            f"{field.title} against {fields[0].title}: {100 * change.moved_mass:.2f} % of the mass moved,"
            f" correlation {change.correlation:.5f}"
            for field, change in zip(fields[1:], changes, strict=True)
        ),
        f"{file_names(out, 'json', 'npz', formats=formats)}: {len(fields)} receptive fields",
    )


def result_paths(arguments: tuple[str, ...]) -> tuple[Path, ...]:
    """Lists the given files, and those in the given folders that hold the field of one token, in the order given.

    Raises:
      DataError: a file or folder does not exist, or a file in a folder cannot be read.
    """
    paths: list[Path] = []
    for path in (Path(argument).expanduser() for argument in arguments):
        if path.is_dir():
            paths += sorted(found for found in path.glob("*.npz") if array_names(found) >= _OF_A_FIELD)
        elif path.is_file():
            paths.append(path)
        else:
            raise DataError(f"{path} does not exist", do="name .npz files that erf has written, or folders of them")
    return tuple(paths)


def read_all(paths: Sequence[Path]) -> tuple[MeasuredField, ...]:
    """Reads receptive fields, and tells those of equal title, protocol and token apart by their files.

    Files of equal names are told apart by as much of their folders as it takes, such as `a/erf/step_0000100` and
    `b/erf/step_0000100`; a file that is named twice keeps its title.

    Raises:
      DataError: a file cannot be read; ERF-FILE, it does not contain a receptive field.
    """
    fields = [read(path) for path in paths]
    names = shortest_names([path.with_suffix("") for path in paths])
    known = [(field.title, field.protocol, field.token) for field in fields]
    return tuple(
        replace(field, title=f"{field.title} ({name})") if known.count(key) > 1 and name else field
        for field, name, key in zip(fields, names, known, strict=True)
    )


def read(path: Path) -> MeasuredField:
    """Reads one receptive field.

    Raises:
      DataError: the file cannot be read; ERF-FILE, it does not contain one.
    """
    arrays = read_npz(path)
    try:
        band = arrays.pop("radial_mass_band", None)
        (row, column), (rows, columns) = arrays["token"].tolist(), arrays["grid"].tolist()
        field = MeasuredField(
            title=str(arrays["title"])[:_LONGEST_TITLE],
            values=arrays["erf"],
            token=(row, column),
            grid=(rows, columns),
            protocol=str(arrays["protocol"]),
            num_images=int(arrays["num_images"]),
            radii_px=arrays["radii_px"],
            radial_mass=arrays["radial_mass"],
            radial_band=band,
        )
        is_sound = _is_sound(field)
    except (KeyError, ValueError, TypeError) as error:
        raise _not_a_field(path) from error
    if not is_sound:
        raise _not_a_field(path)
    return field


def _not_a_field(path: Path) -> DataError:
    return DataError(
        f"{path} does not contain the receptive field of one token",
        do="measure it with gauss-vit erf",
        code="ERF-FILE",
    )


def _is_sound(field: MeasuredField) -> bool:
    """Returns whether the shapes fit together, every number is finite, and the map holds shares of a mass."""
    (row, column), (rows, columns) = field.token, field.grid
    sizes = (row, column, rows, columns)
    if not all(type(size) is int for size in sizes) or field.values.ndim != 2:
        return False
    is_on_grid = 0 <= row < rows <= field.values.shape[0] and 0 <= column < columns <= field.values.shape[1]
    curves = (field.radii_px, field.radial_mass, *(() if field.radial_band is None else field.radial_band))
    arrays = (field.values, *curves)
    is_numeric = all(array.dtype == np.float64 and np.isfinite(array).all() for array in arrays)
    if not (is_on_grid and is_numeric and {array.shape for array in curves} == {(len(field.radii_px),)}):
        return False
    is_shares = field.values.min() >= 0 and abs(field.values.sum() - 1) < _LARGEST_EXCESS
    return bool(is_shares) and field.num_images > 0


def _with_unique_titles(fields: tuple[MeasuredField, ...]) -> tuple[MeasuredField, ...]:
    """Adds the protocol, and the token where that does not help, to titles that are not unique, if it makes them so."""
    plain = [field.title for field in fields]
    with_protocol = [f"{field.title} {field.protocol}" for field in fields]
    with_token = [f"{field.title} {field.protocol} token {field.token}" for field in fields]
    for titles in (plain, with_protocol, with_token):
        if len(set(titles)) == len(titles):
            return tuple(replace(field, title=title) for field, title in zip(fields, titles, strict=True))
    return fields


def _record(fields: tuple[MeasuredField, ...], changes: tuple[FieldDifference, ...]) -> dict[str, object]:
    entries: list[dict[str, object]] = [
        {
            "title": field.title,
            "protocol": field.protocol,
            "token": list(field.token),
            "num_images": field.num_images,
            "half_mass_radius": half_mass_radius(
                field.values, patch_center(field.token, grid=field.grid, image_size=field.values.shape)
            ),
        }
        for field in fields
    ]
    for entry, change in zip(entries[1:], changes, strict=True):
        entry["against_first"] = {"moved_mass": change.moved_mass, "correlation": change.correlation}
    return {"fields": entries}


def _arrays(fields: tuple[MeasuredField, ...], changes: tuple[FieldDifference, ...]) -> dict[str, np.ndarray]:
    return {
        "titles": np.array([field.title for field in fields]),
        "erf": np.stack([field.values for field in fields]),
        "difference_by_patch": np.stack([change.by_patch for change in changes]),
    }
