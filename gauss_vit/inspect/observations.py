"""Reads back what the observers of a run have written: receptive fields and position tables, step by step."""

import re
from pathlib import Path

import numpy as np

from gauss_vit.analysis.token import Target
from gauss_vit.errors import ConfigError, DataError
from gauss_vit.inspect.npz_file import read_npz
from gauss_vit.plots.movie import Observation

_STEP = re.compile(r"step_(\d+)(?:_(stage\d+))?(_position)?\.npz")


def read_observations(workdir: Path) -> tuple[Observation, ...]:
    """Reads all observations of a run, in the order of their steps.

    Raises:
      ConfigError: there are none.
      DataError: an observation cannot be read, or they belong to different models.
    """
    fields, tables = _files(workdir / "erf"), _files(workdir / "position")
    steps = sorted({*fields, *tables})
    if not steps:
        raise ConfigError(
            f"{workdir} has no observations: it contains no erf/step_*.npz",
            do="train with training.observe_every, or correct the folder",
        )
    observations = tuple(
        Observation(
            step=step,
            erf=_field(fields[step]) if step in fields else None,
            tables=_tables(tables[step]) if step in tables else None,
        )
        for step in steps
    )
    _check_shapes(workdir, observations)
    return observations


def target_of(workdir: Path) -> Target | None:
    """Reads which patch the receptive fields of a run belong to; None if there are none.

    Raises:
      DataError: an observation cannot be read.
    """
    fields = _files(workdir / "erf")
    if not fields:
        return None
    (path, *_) = fields[min(fields)]
    arrays = read_npz(path)
    if not {"token", "grid"} <= arrays.keys():
        raise DataError(f"{path} does not name its target patch", do="train again with this version")
    token, grid = arrays["token"], arrays["grid"]
    if not all(array.shape == (2,) and array.dtype.kind == "i" for array in (token, grid)):
        raise DataError(f"{path} does not name its target patch", do="train again with this version")
    (row, column), (height, width) = token.tolist(), grid.tolist()
    return Target(token=(row, column), grid=(height, width))


def _files(folder: Path) -> dict[int, list[Path]]:
    """Lists the array files by step, those of several stages in order."""
    found: dict[int, list[Path]] = {}
    for path in sorted(folder.glob("step_*.npz")):
        match = _STEP.fullmatch(path.name)
        if match is not None:
            found.setdefault(int(match[1]), []).append(path)
    return found


def _field(paths: list[Path]) -> np.ndarray:
    arrays = read_npz(paths[0])
    if "erf" not in arrays or arrays["erf"].ndim != 2 or arrays["erf"].dtype.kind != "f":
        raise DataError(f"{paths[0]} does not contain a single receptive field", do="remove it")
    return arrays["erf"]


def _tables(paths: list[Path]) -> tuple[np.ndarray, ...]:
    found = {path: read_npz(path).get("tables", np.array("")) for path in paths}
    for path, tables in found.items():
        if tables.ndim < 2 or tables.dtype.kind != "f":
            raise DataError(f"{path} does not contain position tables", do="remove it")
    return tuple(table for tables in found.values() for table in tables)


def _check_shapes(workdir: Path, observations: tuple[Observation, ...]) -> None:
    """Checks that all observations come from one model."""
    for shapes in (
        {each.erf.shape for each in observations if each.erf is not None},
        {tuple(table.shape for table in each.tables) for each in observations if each.tables is not None},
    ):
        if len(shapes) > 1:
            raise DataError(f"{workdir} contains observations of different shapes", do="keep those of one run")
