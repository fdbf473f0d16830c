"""A study in minutes: the Gaussian, the relative MLP, both and neither on the embedded digits.

Everything but the position terms and the length is that of configs/digits_gauss.py.

Command:  gauss-vit study --config=configs/studies/digits.py --workdir=W
Time:     --plan says: about a minute for each of twelve runs on two CPU cores.
Expected: every arm learns; differences of a few points, of which three seeds show the large ones alone.
Measured: top-1 of none 45.6 %; gauss +20.6 points (15.6 to 25.5), relative +31.3 (18.5 to 44.1), both +35.9 (26.4 to
          45.4), intervals over three seeds (commit 009379e).
"""

import dataclasses
from pathlib import Path

from gauss_vit import experiment as experiments
from gauss_vit.experiment import Experiment
from gauss_vit.position import Gaussian, Position, RelativeMlp
from gauss_vit.studies.study import Arm, Study
from gauss_vit.tasks.evaluator import Evaluator
from gauss_vit.train.config import Training
from gauss_vit.train.optim import Schedule, Warmup

SINGLE_RUN = Path(__file__).resolve().parents[1] / "digits_gauss.py"
GAUSSIAN, RELATIVE = Gaussian(sigma=2.0), RelativeMlp(hidden=32)
TERMS = {"none": (), "gauss": (GAUSSIAN,), "relative": (RELATIVE,), "both": (RELATIVE, GAUSSIAN)}


def get_study() -> Study:
    """Four arms, three seeds."""
    return Study(
        title="Priors on digits",
        arms=tuple(Arm(name=name) for name in TERMS),
        seeds=(0, 1, 2),
        baseline="none",
        hours_per_run=0.02,
    )


def get_config(arm: str = "none") -> Experiment:
    """The experiment of an arm."""
    base = experiments.load(str(SINGLE_RUN))
    return dataclasses.replace(
        base,
        model=dataclasses.replace(base.model, position=Position(terms=TERMS[arm])),
        optimizer=dataclasses.replace(base.optimizer, schedule=Schedule(warmup=Warmup(steps=20))),
        training=Training(
            batch_size=64,
            num_steps=150,
            eval_batch_size=120,
            log_every=25,
            checkpoint_every=50,
            observe_images=120,
        ),
        evaluators=(Evaluator(),),
    )
