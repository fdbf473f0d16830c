"""Spatial priors from scratch on twenty classes of Tiny ImageNet: does any help a small ViT, and by how much?

Everything but the position terms is equal: the model, the data and their order, the optimizer, two epochs; all but the
length, of three epochs there, are those of configs/tiny_imagenet20.py. `none` knows nothing of places, `relative` is
the paper's baseline, `gauss` its Gaussian alone, and `both` its method.

Command:  gauss-vit study --config=configs/studies/priors.py --workdir=W --config.data.data_dir=TFDS
Data:     a TFDS data set `tiny_imagenet20` in array_record form, as for configs/tiny_imagenet20.py. CIFAR-10 instead:
          docs/replications_plan.md.
Time:     --plan lists the runs: about three minutes each on two CPU cores.
Expected: nothing published at this size. The paper's gains at full size are 0.03 to 0.16 points (table 2), which five
          seeds of a small model cannot show.
Measured: points over none, intervals over five seeds: look_here 4.1 (2.8 to 5.4), both 2.1 (1.2 to 2.9), gauss 1.6
          (0.9 to 2.4), manhattan 1.3 (0.8 to 1.7), alibi 0.6 (0.2 to 1.1); no difference can be claimed of relative,
          1.6 (-0.1 to 3.3), and fire, 0.0 (-0.5 to 0.5). both minus relative, the paper's comparison, is 0.5 (-0.4 to
          1.4): none either. On CIFAR-10, 10,000 images to learn from and 2,000 to test on: look_here 5.4 (5.0 to 5.8),
          both 4.1 (2.4 to 5.7), relative 3.5 (2.5 to 4.5); no difference can be claimed of gauss, 0.9 (-0.1 to 1.9),
          alibi, manhattan and fire, nor of both minus relative, 0.6 (-0.3 to 1.4) (commit 53c0e5b).
"""

import dataclasses
from pathlib import Path

from gauss_vit import experiment as experiments
from gauss_vit.experiment import Experiment
from gauss_vit.position import Alibi, Fire, Gaussian, LookHere, Manhattan, Position, RelativeMlp
from gauss_vit.studies.study import Arm, Study
from gauss_vit.tasks.evaluator import Evaluator
from gauss_vit.train.config import Training

SINGLE_RUN = Path(__file__).resolve().parents[1] / "tiny_imagenet20.py"
GAUSSIAN, RELATIVE = Gaussian(sigma=3.0), RelativeMlp()  # 5 of 14 patches are 3 of 8.
TERMS = {
    "none": (),
    "relative": (RELATIVE,),
    "gauss": (GAUSSIAN,),
    "both": (RELATIVE, GAUSSIAN),
    "alibi": (Alibi(),),
    "manhattan": (Manhattan(),),
    "look_here": (LookHere(),),
    "fire": (Fire(),),
}


def get_study() -> Study:
    """All arms, five seeds."""
    return Study(
        title="Spatial priors from scratch",
        arms=tuple(Arm(name=name) for name in TERMS),
        seeds=(0, 1, 2, 3, 4),
        baseline="none",
        hours_per_run=0.05,
    )


def get_config(arm: str = "none") -> Experiment:
    """The experiment of an arm."""
    base = experiments.load(str(SINGLE_RUN))
    return dataclasses.replace(
        base,
        model=dataclasses.replace(base.model, position=Position(terms=TERMS[arm])),
        training=Training(
            batch_size=64,
            num_steps=312,
            eval_batch_size=200,
            log_every=39,
            checkpoint_every=78,
            observe_images=100,
        ),
        evaluators=(Evaluator(),),
    )
