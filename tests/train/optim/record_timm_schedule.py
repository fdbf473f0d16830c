"""Records the cosine schedule and the LAMB of timm 1.0.31: run by hand with torch, writes timm_schedule.npz."""

from pathlib import Path

import numpy as np
import torch
from timm.optim.lamb import Lamb
from timm.scheduler.cosine_lr import CosineLRScheduler

NUM_STEPS = 30  # 24 of the cosine, 6 of cooldown


def cosine(*, warmup_prefix: bool) -> np.ndarray:
    """The rates of a cosine of 24 steps (after the warm-up of 5, if prefixed) from 0.5 to 0.01, and after it."""
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.5)
    scheduler = CosineLRScheduler(
        optimizer,
        t_initial=19 if warmup_prefix else 24,
        lr_min=0.01,
        warmup_t=5,
        warmup_lr_init=0.001,
        warmup_prefix=warmup_prefix,
    )
    rates = []
    for step in range(NUM_STEPS):
        scheduler.step(step)
        rates.append(optimizer.param_groups[0]["lr"])
    return np.asarray(rates, np.float64)


def lamb() -> np.ndarray:
    """A matrix after seven steps with gradients that a seed tells."""
    weight = torch.nn.Parameter(torch.linspace(-1, 1, 6).reshape(3, 2))
    optimizer = Lamb([weight], lr=0.02, betas=(0.8, 0.95), eps=1e-3, weight_decay=0.1, max_grad_norm=1.0)
    for step in range(7):
        gradient = np.random.default_rng(step).normal(size=(3, 2)).astype(np.float32)
        weight.grad = torch.from_numpy(gradient)
        optimizer.step()
    return weight.detach().numpy()


if __name__ == "__main__":
    np.savez(
        Path(__file__).with_name("timm_schedule.npz"),
        after_warmup=cosine(warmup_prefix=True),
        with_warmup=cosine(warmup_prefix=False),
        lamb=lamb(),
    )
