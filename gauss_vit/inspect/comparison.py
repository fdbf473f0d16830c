"""`compare`: receptive fields of several runs of `erf` in one figure, with their differences as numbers."""

from dataclasses import replace
from pathlib import Path

import numpy as np

from gauss_vit.analysis.comparison import FieldDifference, MeasuredField, difference
from gauss_vit.analysis.summary import half_mass_radius
from gauss_vit.analysis.token import patch_center
from gauss_vit.assembly.invocation import Invocation, say
from gauss_vit.errors import ConfigError, DataError
from gauss_vit.inspect.result_files import suffixed, write_arrays, write_figure, write_record
from gauss_vit.plots.comparison import MAX_FIELDS, comparison_figure

# Other files of `erf` that lie among its results.
_NO_SINGLE_FIELDS = (".partial.npz", "_interventions.npz", "_layer-all.npz")


def run(invocation: Invocation) -> None:
    """Writes OUT.png, OUT.pdf, OUT.json and OUT.npz for the results that are named, or all in the folders named.

    The first field is the reference of the differences.

    Raises:
      ConfigError: `--out` is missing, or there are fewer than two fields, or too many, or of different sizes.
      DataError: a file is missing or holds no single receptive field.
      StorageError: the results cannot be written.
    """
    out = invocation.path("out")
    write_comparison(out, tuple(read(path) for path in result_paths(invocation.arguments)))


def write_comparison(out: Path, fields: tuple[MeasuredField, ...]) -> None:
    """Compares receptive fields with the first of them, in OUT.png, OUT.pdf, OUT.json and OUT.npz.

    Raises:
      ConfigError: there are fewer than two fields, or too many, or of different sizes.
      StorageError: the results cannot be written.
    """
    if not 2 <= len(fields) <= MAX_FIELDS:
        raise ConfigError(
            f"compare takes 2 to {MAX_FIELDS} receptive fields and got {len(fields)}", do="name .npz files of erf"
        )
    fields = _told_apart(fields)
    changes = tuple(difference(field, fields[0]) for field in fields[1:])
    figure = comparison_figure(fields)
    write_arrays(suffixed(out, "npz"), _arrays(fields, changes))
    write_record(suffixed(out, "json"), _record(fields, changes))
    write_figure(suffixed(out, "png"), figure)
    write_figure(suffixed(out, "pdf"), figure)
    for field, change in zip(fields[1:], changes, strict=True):
        moved = f"{100 * change.moved_mass:.2f} % of the mass moved, correlation {change.correlation:.5f}"
        say(f"{field.title} against {fields[0].title}: {moved}")
    say(f"{out}.png .pdf .json .npz: {len(fields)} receptive fields")


def result_paths(arguments: tuple[str, ...]) -> tuple[Path, ...]:
    """Lists the files that are named, and the result files of the folders that are named, in the order given.

    Raises:
      DataError: a name leads nowhere.
    """
    paths: list[Path] = []
    for path in (Path(argument).expanduser() for argument in arguments):
        if path.is_dir():
            paths += sorted(found for found in path.glob("*.npz") if not found.name.endswith(_NO_SINGLE_FIELDS))
        elif path.is_file():
            paths.append(path)
        else:
            raise DataError(f"there is no {path}", do="name .npz files that erf has written, or folders of them")
    return tuple(paths)


def read(path: Path) -> MeasuredField:
    """Reads one receptive field.

    Raises:
      DataError: the file holds none.
    """
    try:
        with np.load(path, allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in archive.files}
        band = arrays.pop("radial_mass_band", None)
        (row, column), (rows, columns) = arrays["token"].tolist(), arrays["grid"].tolist()
        return MeasuredField(
            title=str(arrays["title"]),
            values=arrays["erf"],
            token=(row, column),
            grid=(rows, columns),
            protocol=str(arrays["protocol"]),
            num_images=int(arrays["num_images"]),
            radii_px=arrays["radii_px"],
            radial_mass=arrays["radial_mass"],
            radial_band=band,
        )
    except (OSError, ValueError, KeyError, EOFError) as error:
        raise DataError(
            f"{path} holds no receptive field of one token", do="measure it with gauss-vit erf", code="ERF-FILE"
        ) from error


def _told_apart(fields: tuple[MeasuredField, ...]) -> tuple[MeasuredField, ...]:
    """Adds the protocol, and the token where that does not help, to titles that are not unique."""
    for word in (lambda field: field.protocol, lambda field: f"token {field.token}"):
        titles = [field.title for field in fields]
        if len(set(titles)) == len(titles):
            break
        fields = tuple(replace(field, title=f"{field.title} {word(field)}") for field in fields)
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
