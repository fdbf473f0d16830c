"""Detection of drawn shapes for 1,200 steps: configs/studies/detection.py with four times its length and five seeds.

After 300 steps a run has just begun to tell classes apart, or has not, and AP says little but when.

Command:  gauss-vit data prepare --name=drawn_shapes --data_dir=sets
          gauss-vit study --config=configs/studies/detection_longer.py --workdir=W
Data:     1,000 training and 200 validation images, drawn by the first command from a seed.
Time:     --plan lists the runs: about ten minutes each on one CPU core.
Expected: a box AP of 20 to 40 % (docs/results.md); differences of several points at best show.
Measured: a box AP of none 23.4 % (17.1 to 29.6), gauss +2.7 points (-4.2 to 9.6), intervals over five seeds: no
          difference can be claimed (commit 177e4ff).
"""

import dataclasses
from pathlib import Path

from gauss_vit import experiment as experiments
from gauss_vit.experiment import Experiment
from gauss_vit.studies.study import Study, load

SHORT = Path(__file__).resolve().parent / "detection.py"


def get_study() -> Study:
    """The arms of the short study, five seeds."""
    return dataclasses.replace(
        load(str(SHORT)), title="Detection of drawn shapes, longer", seeds=(0, 1, 2, 3, 4), hours_per_run=0.17
    )


def get_config(arm: str = "none") -> Experiment:
    """The experiment of an arm."""
    short = experiments.load(f"{SHORT}:{arm}")
    return dataclasses.replace(short, training=dataclasses.replace(short.training, num_steps=1200))
