"""Records the learning rates of every config: run by hand, writes learning_rates.npz.

What is stored was recorded before schedules were composed of a curve, a warm-up and a cooldown.
"""

from pathlib import Path

import jax
import numpy as np

from gauss_vit import experiment
from gauss_vit.train.optim.optimizer import learning_rate

FOLDER = Path(__file__).parents[3] / "configs"


def main() -> None:
    """Records 64 steps from first to last of each config."""
    recorded = {}
    for path in sorted(FOLDER.glob("*.py")):
        shown = experiment.load(str(path))
        num_steps = shown.training.total_steps
        steps = np.unique(np.linspace(0, num_steps, 64).astype(np.int32))
        recorded[f"{path.stem}_steps"] = steps
        recorded[f"{path.stem}_rates"] = np.asarray(jax.vmap(learning_rate(shown.optimizer, num_steps))(steps))
    np.savez_compressed(Path(__file__).with_name("learning_rates.npz"), **recorded)


if __name__ == "__main__":
    main()
