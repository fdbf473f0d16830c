"""Prefetch of batches to the devices while an earlier one is trained on."""

from collections import deque
from collections.abc import Iterable, Iterator

from jax.sharding import Mesh
from jaxtyping import PyTree

from gauss_vit.train.mesh import place_batch

AHEAD = 2
"""Number of batches that are prefetched beside the one that is trained on."""


def place_ahead(batches: Iterable[PyTree], mesh: Mesh, *, ahead: int = AHEAD) -> Iterator[PyTree]:
    """Yields all batches on the devices, in order, each sent while earlier ones are still in use.

    Transfers and steps are asynchronous. When the caller has started a step and asks for the next batch, that one is on
    the devices already, and the one that is sent now has the time of the step. Batches that were sent and are not asked
    for are dropped: a batch is a function of its step, and can be built again. An error in building a batch is raised
    when that batch is asked for.

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
        # The batches before the one that failed are good, and a checkpoint may be due at one of them.
        yield from sent
        raise
    yield from sent
