"""`movie`: what a run observed of itself while it trained, as a GIF."""

from pathlib import Path

from gauss_vit.command_line.console import say
from gauss_vit.command_line.invocation import Invocation
from gauss_vit.errors import ConfigError
from gauss_vit.inspect.observations import read_observations, target_of
from gauss_vit.inspect.result_files import write_bytes
from gauss_vit.plots.movie import movie
from gauss_vit.waiting import announced


def run(invocation: Invocation) -> None:
    """Writes the GIF to `--out`, by default to `erf.gif` in the run's folder.

    Raises:
      ConfigError: no run is named, or it has observed nothing.
      DataError: an observation cannot be read.
      StorageError: the GIF cannot be written.
    """
    workdir = _workdir(invocation)
    out = invocation.path("out") if invocation.is_given("out") else workdir / "erf.gif"
    observations = read_observations(workdir)
    with announced("drawing the frames"):
        content = movie(
            observations,
            target_of(workdir),
            title=workdir.absolute().name,
            frames_per_second=float(invocation.text("fps")),
        )
    write_bytes(out, content)
    first, last = observations[0].step, observations[-1].step
    say(f"{out}: {len(observations)} steps from {first} to {last}, {len(content) / 1e6:.1f} MB")


def _workdir(invocation: Invocation) -> Path:
    """Reads the run's folder, from `--workdir` or as the only argument."""
    named = ([invocation.text("workdir")] if invocation.is_given("workdir") else []) + list(invocation.arguments)
    if len(named) != 1:
        raise ConfigError(f"movie takes one run and got {len(named)}", do="write gauss-vit movie W")
    folder = Path(named[0]).expanduser()
    if not folder.is_dir():
        raise ConfigError(f"{folder} is not a folder", do="name the --workdir of a run")
    return folder
