"""Batches on their way to the devices while an earlier one is trained on."""

from collections import deque
from collections.abc import Iterable, Iterator

from jax.sharding import Mesh
from jaxtyping import PyTree

from gauss_vit.train.mesh import place_batch

AHEAD = 2
"""How many batches are on the devices, or on their way there, beside the one that is trained on."""


def place_ahead(batches: Iterable[PyTree], mesh: Mesh, *, ahead: int = AHEAD) -> Iterator[PyTree]:
    """Yields all batches on the devices, in order, and sends each while earlier ones are still to be used.

    Transfers and steps only start here and end by themselves. So when the caller has started a step and asks for the
    next batch, that one lies on the devices already, and the one that is fetched and sent now has the time of the step.
    What was sent and is not asked for is dropped: a batch is a function of its step, and can be made again. An error in
    making a batch comes when that batch is asked for.

    Args:
      batches: Batches on the host.
      mesh: Devices.
      ahead: Number of batches sent before they are asked for, 1 or more.
    """
    sent: deque[PyTree] = deque()
    try:
        for batch in batches:
            sent.append(place_batch(batch, mesh))
            if len(sent) == ahead:
                yield sent.popleft()
    except Exception:
        # The batches before the one that could not be made are good, and a checkpoint may be due at one of them.
        yield from sent
        raise
    yield from sent
