"""Optimizers as config values: an update rule, a learning-rate schedule, and scales of the rate by path and depth."""

from gauss_vit.train.optim.lr_scale import LearningRateScale
from gauss_vit.train.optim.optimizer import NORMS_AND_POSITIONS, VECTORS, Optimizer
from gauss_vit.train.optim.rules import LAMB, SGD, AdamW, Lion, Rule
from gauss_vit.train.optim.schedule import Constant, Cooldown, Cosine, Curve, Polynomial, Schedule, Step, Warmup

__all__ = [
    "LAMB",
    "NORMS_AND_POSITIONS",
    "SGD",
    "VECTORS",
    "AdamW",
    "Constant",
    "Cooldown",
    "Cosine",
    "Curve",
    "LearningRateScale",
    "Lion",
    "Optimizer",
    "Polynomial",
    "Rule",
    "Schedule",
    "Step",
    "Warmup",
]
