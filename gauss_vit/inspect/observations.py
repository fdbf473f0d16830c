"""Reads back what the observers of a run have written: receptive fields and position tables, step by step."""

import re
from pathlib import Path

import numpy as np

from gauss_vit.analysis.token import Target
from gauss_vit.errors import ConfigError, DataError
from gauss_vit.inspect.result_files import read_arrays
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
    arrays = read_arrays(path)
    if not {"token", "grid"} <= arrays.keys():
        raise DataError(f"{path} does not name its target patch", do="train again with this version")
    row, column = arrays["token"].tolist()
    height, width = arrays["grid"].tolist()
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
    arrays = read_arrays(paths[0])
    if "erf" not in arrays or arrays["erf"].ndim != 2:
        raise DataError(f"{paths[0]} does not contain a single receptive field", do="remove it")
    return arrays["erf"]


def _tables(paths: list[Path]) -> tuple[np.ndarray, ...]:
    return tuple(table for path in paths for table in read_arrays(path)["tables"])


def _check_shapes(workdir: Path, observations: tuple[Observation, ...]) -> None:
    """Checks that all observations come from one model."""
    for shapes in (
        {each.erf.shape for each in observations if each.erf is not None},
        {tuple(table.shape for table in each.tables) for each in observations if each.tables is not None},
    ):
        if len(shapes) > 1:
            raise DataError(f"{workdir} contains observations of different shapes", do="keep those of one run")
