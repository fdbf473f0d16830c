"""`compare`: several receptive fields, or metrics over the steps of several runs, in one figure and as numbers."""

from pathlib import Path

from gauss_vit.command_line.console import say
from gauss_vit.command_line.invocation import Invocation
from gauss_vit.inspect.comparison import read_all, result_paths, write_comparison
from gauss_vit.inspect.metric_curves import write_curves
from gauss_vit.inspect.result_files import parse_formats


def run(invocation: Invocation) -> None:
    """Writes OUT.json and a figure for the results that are named, or all in the folders named, and fields as OUT.npz.

    The first field is the reference of the differences. Fields of equal titles are told apart by their protocol,
    token or file. With `--metrics` the folders are those of runs.

    Raises:
      ConfigError: `--out` is missing, or there are fewer than two fields, or too many, or of different sizes; or there
        is no run, or none has logged a metric.
      DataError: a file is missing or does not contain a single receptive field, or a folder has no metrics.
      StorageError: the results cannot be written.
    """
    out, formats = invocation.path("out"), parse_formats(invocation.text("format"))
    if invocation.is_given("metrics"):
        workdirs = tuple(Path(argument).expanduser() for argument in invocation.arguments)
        names = tuple(name.strip() for name in invocation.text("metrics").split(","))
        lines = write_curves(out, workdirs, names, formats=formats)
    else:
        fields = read_all(result_paths(invocation.arguments))
        lines = write_comparison(out, fields, formats=formats)
    for line in lines:
        say(line)
