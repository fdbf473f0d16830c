"""Programs of the same names as gcloud, xpk, kubectl and docker, which only write down how they are called."""

import shutil
import subprocess
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
_STANDIN = """\
#!/usr/bin/env bash
printf '%s\\0' "{name}" "$@" >>"{record}"
printf '\\1\\0' >>"{record}"
{answer}
"""


@dataclass(frozen=True, kw_only=True)
class Standins:
    """A folder of stand-ins, which is all that a launcher finds on its PATH besides the shell.

    Attributes:
      folder: Folder of programs.
    """

    folder: Path

    def calls(self) -> list[list[str]]:
        """Lists the calls in order, each as the program and its arguments."""
        if not self._record.exists():
            return []
        calls = self._record.read_text().split("\0\1\0")
        return [call.split("\0") for call in calls if call]

    def add(self, name: str, *, answer: str = "") -> None:
        """Adds a program, which writes down its call and then runs a line of shell."""
        path = self.folder / name
        path.write_text(_STANDIN.format(name=name, record=self._record, answer=answer))
        path.chmod(0o755)

    def launch(self, *words: str, variables: Iterable[tuple[str, str]] = ()) -> subprocess.CompletedProcess[str]:
        """Runs a launcher in the root of the repository, as a user would."""
        return run(words, environment={"PATH": str(self.folder), **dict(variables)})

    @property
    def _record(self) -> Path:
        return self.folder / "calls"


def run(words: Sequence[str], *, environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """Runs a command in the root of the repository."""
    return subprocess.run(
        words,
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
        stdin=subprocess.DEVNULL,
    )


def only(folder: Path, *names: str) -> Standins:
    """Makes a folder in which there are these stand-ins, the shell, and what a launcher needs of the system."""
    folder.mkdir()
    for program in ("bash", "env", "sleep"):
        (folder / program).symlink_to(shutil.which(program) or program)
    standins = Standins(folder=folder)
    for name in names:
        standins.add(name)
    return standins
