"""Detection of drawn shapes, small: does the Gaussian help Mask R-CNN on a Swin from scratch?

Both arms are those of configs/drawn_shapes.py with 300 steps, measured at the end alone. That is early: AP still rises
fast there.

Command:  gauss-vit data prepare --name=drawn_shapes --data_dir=sets
          gauss-vit study --config=configs/studies/detection.py --workdir=W
Data:     1,000 training and 200 validation images, drawn by the first command from a seed.
Time:     --plan lists the runs: about eight minutes each on two CPU cores, of which two are compilation.
Expected: a box AP of 8 to 10 %, still rising (docs/results.md); differences of a few points at best show.
Measured: a box AP of none 3.9 % (-1.4 to 9.1), gauss +1.4 points (-9.3 to 12.0), intervals over three seeds (commit
          53c0e5b): no difference can be claimed, and configs/studies/detection_longer.py is the one to run.
"""

import dataclasses
from pathlib import Path

from gauss_vit import experiment as experiments
from gauss_vit.experiment import Experiment
from gauss_vit.studies.study import Arm, Study
from gauss_vit.tasks.coco_measure import CocoMeasure
from gauss_vit.tasks.evaluator import Evaluator

SINGLE_RUN = Path(__file__).resolve().parents[1] / "drawn_shapes.py"


def get_study() -> Study:
    """Two arms, three seeds."""
    return Study(
        title="Detection of drawn shapes",
        arms=(Arm(name="none"), Arm(name="gauss")),
        seeds=(0, 1, 2),
        baseline="none",
        metric="bbox_AP",
        hours_per_run=0.13,
    )


def get_config(arm: str = "none") -> Experiment:
    """The experiment of an arm."""
    base = experiments.load(f"{SINGLE_RUN}:bias={arm}")
    return dataclasses.replace(
        base,
        training=dataclasses.replace(base.training, num_steps=300, best=None),
        evaluators=(Evaluator(measure=CocoMeasure()),),
    )
