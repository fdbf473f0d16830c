"""`movie`: what a run observed of itself while it trained, as a GIF."""

import re
import zipfile
from pathlib import Path

import numpy as np

from gauss_vit.assembly.invocation import Invocation, say
from gauss_vit.errors import ConfigError, DataError
from gauss_vit.inspect.result_files import write_animation
from gauss_vit.plots.movie import Observation, Target, movie

_STEP = re.compile(r"step_(\d+)(?:_(stage\d+))?(_position)?\.npz")


def run(invocation: Invocation) -> None:
    """Writes the GIF to `--out`, by default to `erf.gif` in the run's folder.

    Raises:
      ConfigError: no run is named, or it has observed nothing.
      DataError: an observation cannot be read.
      StorageError: the GIF cannot be written.
    """
    workdir = _workdir(invocation)
    out = invocation.path("out") if invocation.is_given("out") else workdir / "erf.gif"
    rate = float(str(invocation.options["fps"]))
    fields, tables = _files(workdir / "erf"), _files(workdir / "position")
    steps = sorted({*fields, *tables})
    if not steps:
        raise ConfigError(
            f"{workdir} holds no observations: there is no erf/step_*.npz in it",
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
    target = _target(next(iter(fields.values()))) if fields else None
    _check_shapes(workdir, observations)
    content = movie(observations, target, title=workdir.absolute().name, pictures_per_second=rate)
    write_animation(out, content)
    say(f"{out}: {len(steps)} steps from {steps[0]} to {steps[-1]}, {len(content) / 1e6:.1f} MB")


def _workdir(invocation: Invocation) -> Path:
    """Reads the run's folder, from `--workdir` or as the one argument."""
    named = ([invocation.text("workdir")] if invocation.is_given("workdir") else []) + list(invocation.arguments)
    if len(named) != 1:
        raise ConfigError(f"movie takes one run and got {len(named)}", do="write gauss-vit movie W")
    folder = Path(named[0]).expanduser()
    if not folder.is_dir():
        raise ConfigError(f"{folder} is not a folder", do="name the --workdir of a run")
    return folder


def _files(folder: Path) -> dict[int, list[Path]]:
    """Lists the array files of every step, those of several stages in order."""
    found: dict[int, list[Path]] = {}
    for path in sorted(folder.glob("step_*.npz")):
        match = _STEP.fullmatch(path.name)
        if match is not None:
            found.setdefault(int(match[1]), []).append(path)
    return found


def _field(paths: list[Path]) -> np.ndarray:
    arrays = _arrays(paths[0])
    if "erf" not in arrays or arrays["erf"].ndim != 2:
        raise DataError(f"{paths[0]} holds no single receptive field", do="remove it")
    return arrays["erf"]


def _tables(paths: list[Path]) -> tuple[np.ndarray, ...]:
    return tuple(table for path in paths for table in _arrays(path)["tables"])


def _target(paths: list[Path]) -> Target:
    arrays = _arrays(paths[0])
    if not {"token", "grid"} <= arrays.keys():
        raise DataError(f"{paths[0]} does not say which patch it is of", do="train again with this version")
    row, column = arrays["token"].tolist()
    height, width = arrays["grid"].tolist()
    return Target(token=(row, column), grid=(height, width))


def _arrays(path: Path) -> dict[str, np.ndarray]:
    try:
        with np.load(path, allow_pickle=False) as archive:
            return {name: archive[name] for name in archive.files}
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise DataError(f"{path} cannot be read: {error}", do="remove it") from error


def _check_shapes(workdir: Path, observations: tuple[Observation, ...]) -> None:
    """Refuses observations of several models."""
    for shapes in (
        {each.erf.shape for each in observations if each.erf is not None},
        {tuple(table.shape for table in each.tables) for each in observations if each.tables is not None},
    ):
        if len(shapes) > 1:
            raise DataError(f"{workdir} holds observations of different shapes", do="keep those of one run")
