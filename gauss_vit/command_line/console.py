"""Output to the terminal: results on standard output, warnings and progress on standard error."""

import sys


def say(line: str) -> None:
    """Writes a line to standard output and flushes it."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def remark(line: str) -> None:
    """Writes a line about progress to standard error and flushes it."""
    sys.stderr.write(line + "\n")
    sys.stderr.flush()


def warn(line: str) -> None:
    """Writes a warning to standard error and flushes it."""
    sys.stderr.write(f"gauss_vit: warning: {line}\n")
    sys.stderr.flush()
