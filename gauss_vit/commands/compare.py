"""`compare`: receptive fields of several runs of `erf` in one figure, with their differences as numbers."""

from gauss_vit.command_line.console import say
from gauss_vit.command_line.invocation import Invocation
from gauss_vit.inspect.comparison import read, result_paths, write_comparison
from gauss_vit.inspect.result_files import parse_formats


def run(invocation: Invocation) -> None:
    """Writes OUT.json, OUT.npz and a figure for the results that are named, or all in the folders named.

    The first field is the reference of the differences.

    Raises:
      ConfigError: `--out` is missing, or there are fewer than two fields, or too many, or of different sizes.
      DataError: a file is missing or does not contain a single receptive field.
      StorageError: the results cannot be written.
    """
    out, formats = invocation.path("out"), parse_formats(invocation.text("format"))
    fields = tuple(read(path) for path in result_paths(invocation.arguments))
    for line in write_comparison(out, fields, formats=formats):
        say(line)
