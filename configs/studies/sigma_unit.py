"""Sigma in patches or in fractions of the image: which of them carries over to other resolutions?

Both arms are `both` of configs/studies/priors.py, the relative MLP with the Gaussian, which starts equally wide: at 3
of 8 patches, or at 3/8 of the image's sides. At 64 pixels, where they are trained, they differ only in the size of a
step of sigma; at other sizes the first keeps its width in patches, the second its place in the picture.

Command:  gauss-vit study --config=configs/studies/sigma_unit.py --workdir=W --config.data.data_dir=TFDS, and then what
          docs/replications_plan.md says of other sizes.
Data:     as for configs/studies/priors.py.
Time:     --plan lists the runs: about three minutes each on two CPU cores.
Expected: nothing published. Away from 64 pixels the arms part as far as their Gaussians do.
Measured: image minus patch at 48, 64, 80 and 96 px, intervals over five seeds (commit 53c0e5b): top-1 -0.02 (-0.58 to
          0.54), -0.04 (-0.43 to 0.35), -0.02 (-0.40 to 0.36) and -0.06 points (-0.49 to 0.37); half-mass radius -2.3
          (-3.2 to -1.4), -0.1 (-0.3 to 0.1), 1.4 (1.2 to 1.6) and 3.2 per cent of the side (2.7 to 3.7).
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
