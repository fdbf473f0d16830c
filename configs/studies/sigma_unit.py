"""Sigma in patches or in fractions of the image: which of them carries over to other resolutions?

Both arms are `both` of configs/studies/priors.py, the relative MLP with the Gaussian, which starts equally wide: at 3
of 8 patches, or at 3/8 of the image's sides. At 64 pixels, where they are trained, they differ only in the size of a
step of sigma; at other sizes the first keeps its width in patches, the second its place in the picture.

Command:  gauss-vit study --config=configs/studies/sigma_unit.py --workdir=W --config.data.data_dir=TFDS, and then what
          docs/replications_plan.md says of other sizes.
Data:     as for configs/studies/priors.py.
Time:     --plan lists the runs: about three minutes each on two CPU cores.
Expected: nothing published. Away from 64 pixels the arms part as far as their Gaussians do.
Measured: not run.
"""

import dataclasses
from pathlib import Path

from gauss_vit import experiment as experiments
from gauss_vit.experiment import Experiment
from gauss_vit.position import Gaussian, Position, RelativeMlp
from gauss_vit.studies.study import Arm, Study

PRIORS = Path(__file__).resolve().parent / "priors.py"
GAUSSIANS = {"patch": Gaussian(sigma=3.0), "image": Gaussian(sigma=3 / 8, unit="image")}


def get_study() -> Study:
    """Two arms, five seeds."""
    return Study(
        title="Unit of sigma",
        arms=tuple(Arm(name=name) for name in GAUSSIANS),
        seeds=(0, 1, 2, 3, 4),
        baseline="patch",
        hours_per_run=0.05,
    )


def get_config(arm: str = "patch") -> Experiment:
    """The experiment of an arm."""
    base = experiments.load(f"{PRIORS}:both")
    position = Position(terms=(RelativeMlp(), GAUSSIANS[arm]))
    return dataclasses.replace(base, model=dataclasses.replace(base.model, position=position))
