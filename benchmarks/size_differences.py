"""Compares the arms of a study at other image sizes: accuracy and width of the field, with intervals over seeds.

python -m benchmarks.size_differences W --arms=patch,image --fields=DIR [--out=F.json]

W is the folder of a study whose runs W/ARM/seed_S were measured by `gauss-vit evaluate --image_sizes=...`, and
DIR/ARM/seed_S has what `gauss-vit erf --image_sizes=...` said of them. Printed are the mean of every arm at every size
and the differences from the first one within seeds, with Student's t intervals of 95 %: top-1 as a share, the half-mass
radius as a share of the image's side.
"""

import argparse
import dataclasses
import json
import sys
from collections.abc import Mapping
from pathlib import Path

from benchmarks import rows, timing
from benchmarks.prior_fields import runs_of
from gauss_vit.analysis.paired import estimate, within_seeds

Values = dict[tuple[str, int], dict[int, float]]
"""Values by number and side in pixels, and then by seed."""


def accuracies(run: Path) -> dict[int, float]:
    """Reads the top-1 of a run by the side of the image in pixels."""
    found = json.loads((run / "resolutions.json").read_text())["resolutions"]
    return {each["image_size"][0]: each["top1"] for each in found}


def radii(folder: Path) -> dict[int, float]:
    """Reads the half-mass radius of a run's field as a share of the side, by the side in pixels."""
    paths = sorted(folder.glob("*_sizes.json"))
    if len(paths) != 1:
        raise SystemExit(f"{folder} must have one file *_sizes.json, which `gauss-vit erf` writes; it has {len(paths)}")
    (path,) = paths
    found = json.loads(path.read_text())["sizes"]
    return {each["image_size"][0]: each["half_mass_radius_share"] for each in found}


def values_of(runs: Mapping[int, Path], fields: Path) -> Values:
    """Collects the numbers of an arm's runs."""
    values: Values = {}
    for seed, run in runs.items():
        for name, found in (("top1", accuracies(run)), ("half_mass_radius_share", radii(fields / run.name))):
            for side, value in found.items():
                values.setdefault((name, side), {})[seed] = value
    return values


def summed_up(arms: Mapping[str, Values]) -> list[dict[str, object]]:
    """Lists number, size and arm with the mean over seeds, and its difference from the first arm within seeds.

    The difference is None for the first arm itself, and where the two share no seed.
    """
    baseline = next(iter(arms))
    rows_found = []
    for arm, values in arms.items():
        for (name, side), of_seed in values.items():
            shared = within_seeds(of_seed, arms[baseline].get((name, side), {})) if arm != baseline else {}
            row: dict[str, object] = {"number": name, "image_size": side, "arm": arm, "seeds": list(of_seed)}
            row["mean"] = dataclasses.asdict(estimate(list(of_seed.values())))
            row["difference"] = dataclasses.asdict(estimate(list(shared.values()))) if shared else None
            rows_found.append(row)
    return rows_found


def main() -> None:
    """Prints a line for every number, size and arm, and writes the record."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("study", type=Path, help="folder of the study")
    parser.add_argument("--arms", required=True, help="names of arms, first the one that others are compared with")
    parser.add_argument("--fields", type=Path, required=True, help="folder of ARM/seed_S with receptive fields by size")
    parser.add_argument("--out", type=Path, help="JSON file to write")
    options = parser.parse_args()
    runs, names = runs_of(options.study), options.arms.split(",")
    if unknown := [name for name in names if name not in runs]:
        parser.error(f"{unknown[0]} is not an arm of {options.study}; it has {', '.join(runs) or 'none'}")
    found = summed_up({name: values_of(runs[name], options.fields / name) for name in names})
    for row in found:
        print(json.dumps(row))
    rows.write(options.out, {"command": sys.argv[1:], "commit": timing.commit(), "rows": found})


if __name__ == "__main__":
    main()
