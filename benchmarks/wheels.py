"""Fetches the wheels that the benchmarks need on a machine without a network, and lists them.

python -m benchmarks.wheels --python_version=3.12 --out=wheels [--have=FREEZE] [--peers] [--list]

They are those of the project with its extras `cuda` and `simd`, and with `--peers` also timm and OpenERF, for Linux on
x86-64. FREEZE is the output of `python -m pip freeze` on that machine: what it has is not fetched. `--list` prints the
requirements and fetches nothing. Dependencies of what is fetched are fetched, too.
"""

import argparse
import re
import subprocess
import sys
import tomllib
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).parent.parent
EXTRAS = ("cuda", "simd")
PEERS = ("timm==1.0.31", "openerf")
PLATFORMS = ("manylinux_2_28_x86_64", "manylinux_2_27_x86_64", "manylinux_2_17_x86_64", "manylinux2014_x86_64")


def requirements(*, peers: bool, have: Sequence[str] = ()) -> list[str]:
    """Lists what the benchmarks need, less what is there.

    Args:
      peers: Whether timm and OpenERF are wanted.
      have: Lines of `pip freeze`.
    """
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = [line for extra in EXTRAS for line in project["optional-dependencies"][extra]]
    wanted = [*project["dependencies"], *extras, *(PEERS if peers else ())]
    present = {name_of(line) for line in have}
    return [line for line in wanted if name_of(line) not in present]


def name_of(requirement: str) -> str:
    """Reads the name of a package, in lower case and with hyphens.

    >>> name_of("ml_collections>=1.1 ; python_version > '3'")
    'ml-collections'
    """
    name = re.match(r"[A-Za-z0-9._-]+", requirement.strip())
    return re.sub(r"[-_.]+", "-", name[0]).lower() if name else ""


def download(lines: Sequence[str], *, python_version: str, folder: Path) -> None:
    """Fetches wheels with all that they need.

    Raises:
      CalledProcessError: pip found no wheel; what it said is on standard error.
    """
    platforms = [word for platform in PLATFORMS for word in ("--platform", platform)]
    target = ["--only-binary=:all:", "--implementation", "cp", "--python-version", python_version, *platforms]
    subprocess.run([sys.executable, "-m", "pip", "download", "-q", "-d", folder, *target, *lines], check=True)


def remove_present(folder: Path, have: Sequence[str]) -> None:
    """Deletes wheels of packages that are there: dependencies bring some along."""
    present = {name_of(line) for line in have}
    for wheel in folder.glob("*.whl"):
        if name_of(wheel.name.partition("-")[0]) in present:
            wheel.unlink()


def main() -> None:
    """Fetches, and prints what there is."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--python_version", default="3.12", help="of the machine without a network")
    parser.add_argument("--out", type=Path, default=Path("wheels"))
    parser.add_argument("--have", type=Path, help="output of pip freeze on that machine")
    parser.add_argument("--peers", action="store_true", help="timm and OpenERF as well")
    parser.add_argument("--list", action="store_true", help="print the requirements and fetch nothing")
    options = parser.parse_args()
    have = options.have.read_text(encoding="utf-8").splitlines() if options.have else []
    lines = requirements(peers=options.peers, have=have)
    if options.list:
        print("\n".join(lines))
        return
    download(lines, python_version=options.python_version, folder=options.out)
    remove_present(options.out, have)
    for wheel in sorted(options.out.glob("*.whl")):
        print(f"{wheel.stat().st_size / 1e6:8.1f} MB  {wheel.name}")


if __name__ == "__main__":
    main()
