"""Segmentation of pets, small: does the Gaussian help a Swin with UPerNet from scratch?

Both arms are those of configs/pets_segmentation.py, which has 300 steps, measured at the end alone.

Command:  gauss-vit study --config=configs/studies/segmentation.py --workdir=W --config.data.data_dir=TFDS
Data:     TFDS's oxford_iiit_pet with its trimaps, as for configs/pets_segmentation.py.
Time:     --plan lists the runs: about six minutes each on one CPU core.
Expected: no difference that three seeds could show: docs/results.md has two seeds of either.
Measured: mIoU of none 40.0 %; gauss +0.5 points (-1.2 to 2.2), no difference that can be claimed; intervals over three
          seeds, all on the same 12 images (commit 53c0e5b).
"""

import dataclasses
from pathlib import Path

from gauss_vit import experiment as experiments
from gauss_vit.experiment import Experiment
from gauss_vit.studies.study import Arm, Study
from gauss_vit.tasks.evaluator import Evaluator

SINGLE_RUN = Path(__file__).resolve().parents[1] / "pets_segmentation.py"


def get_study() -> Study:
    """Two arms, three seeds."""
    return Study(
        title="Segmentation of pets",
        arms=(Arm(name="none"), Arm(name="gauss")),
        seeds=(0, 1, 2),
        baseline="none",
        metric="miou",
        hours_per_run=0.07,
    )


def get_config(arm: str = "none") -> Experiment:
    """The experiment of an arm."""
    base = experiments.load(f"{SINGLE_RUN}:bias={arm}")
    return dataclasses.replace(base, training=dataclasses.replace(base.training, best=None), evaluators=(Evaluator(),))
