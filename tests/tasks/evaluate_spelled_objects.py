"""A process that evaluates drawn objects with others, for a test. Argument: the choice of `--distributed`."""

import json
import sys

import jax

from gauss_vit.distributed import start
from tests.tasks.spelled_objects import SpelledSource, measured


def values(num_devices: int) -> dict[str, float]:
    """COCO's numbers of detections that are shifted."""
    return measured(SpelledSource(3), num_devices=num_devices, shift=0.6).compute()


if __name__ == "__main__":
    start.start(sys.argv[1], platform="cpu")
    sys.stdout.write(json.dumps({"devices": jax.device_count(), "values": values(jax.device_count())}) + "\n")
    sys.stdout.flush()
    start.leave(0)
