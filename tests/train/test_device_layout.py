"""The order of devices of several processes and slices, which are plain values here."""

import dataclasses

import numpy as np
import pytest

from gauss_vit.errors import ConfigError
from gauss_vit.train.device_layout import BatchShare, arrange, batch_share


@dataclasses.dataclass(frozen=True, kw_only=True)
class Chip:
    """What the rules read of a device."""

    id: int
    process_index: int
    platform: str = "cpu"
    device_kind: str = "cpu"
    slice_index: int = 0
    coords: tuple[int, int, int] = (0, 0, 0)
    core_on_chip: int = 0


def hosts(count: int, *, each: int = 4) -> list[Chip]:
    return [Chip(id=number, process_index=number // each) for number in range(count * each)]


def tpus(*, slices: int = 1) -> list[Chip]:
    """4 x 4 chips a slice, 2 x 2 a host."""
    return [
        Chip(
            id=16 * part + 4 * y + x,
            process_index=4 * part + 2 * (y // 2) + x // 2,
            platform="tpu",
            device_kind="TPU v5 lite",
            slice_index=part,
            coords=(x, y, 0),
        )
        for part in range(slices)
        for y in range(4)
        for x in range(4)
    ]


def ids(arranged: np.ndarray) -> list:
    return np.vectorize(lambda device: device.id)(arranged).tolist()


def shares(arranged: np.ndarray) -> list[tuple[int, int]]:
    processes = sorted({device.process_index for device in arranged.flat})
    found = [batch_share(arranged, process) for process in processes]
    return [(share.index, share.count) for share in found]


def test_processes_are_neighbours_in_their_order():
    mixed = hosts(2)[::-1]
    arranged = arrange(mixed, (1, 4, 1, 2))
    assert [device.process_index for device in arranged.flat] == [0] * 4 + [1] * 4
    assert shares(arranged) == [(0, 2), (1, 2)]


def test_processes_that_share_heads_read_the_same_rows():
    assert shares(arrange(hosts(4), (1, 2, 1, 8))) == [(0, 2), (0, 2), (1, 2), (1, 2)]
    assert shares(arrange(hosts(2), (1, 1, 1, 8))) == [(0, 1), (0, 1)]


def test_one_process_reads_whole_batches():
    assert batch_share(arrange(hosts(1), (1, 2, 1, 2)), 0) == BatchShare(index=0, count=1)


def test_a_process_without_a_device_is_named():
    with pytest.raises(ConfigError, match="4 of 8 devices, and none of process 1"):
        arrange(hosts(2), (1, 4, 1, 1))


def test_processes_of_different_sizes_are_refused():
    devices = [Chip(id=number, process_index=min(number, 1)) for number in range(4)]
    with pytest.raises(ConfigError, match="different numbers of devices"):
        batch_share(arrange(devices, (1, 4, 1, 1)), 0)


def test_slices_are_on_the_outermost_axis_that_they_divide():
    devices = tpus(slices=2)
    for sizes in ((2, 4, 2, 2), (1, 8, 2, 2), (4, 2, 2, 2)):
        arranged = arrange(devices[::-1], sizes)
        outer = arranged.reshape(2, -1)
        assert [{device.slice_index for device in half} for half in outer] == [{0}, {1}]
        assert sorted(device.id for device in arranged.flat) == list(range(32))


def test_axes_that_the_slices_do_not_divide_take_the_devices_in_order(caplog: pytest.LogCaptureFixture):
    arranged = arrange(tpus(slices=2), (1, 1, 32, 1))
    assert [device.process_index for device in arranged.flat] == sorted(4 * list(range(8)))
    assert "a multiple of 2, the slices" in caplog.text


@pytest.mark.parametrize(
    ("sizes", "parts"),
    [
        ((1, 16, 1, 1), 4),
        ((1, 4, 4, 1), 4),
        ((1, 8, 1, 2), 4),
        ((1, 4, 1, 4), 2),
        ((1, 1, 16, 1), 4),
        ((1, 1, 1, 16), 1),
    ],
)
def test_every_host_of_a_slice_reads_one_contiguous_part_of_a_batch(sizes: tuple[int, ...], parts: int):
    arranged = arrange(tpus(), sizes)
    assert sorted(device.id for device in arranged.flat) == list(range(16))
    assert sorted(shares(arranged)) == [(index * parts // 4, parts) for index in range(4)]


def test_tpus_of_one_host_are_arranged_along_their_links():
    alone = [dataclasses.replace(device, process_index=0) for device in tpus()]
    neighbours = arrange(alone, (1, 4, 1, 4))[0, 1, 0]
    assert (
        len({device.coords[0] for device in neighbours}) == 1 or len({device.coords[1] for device in neighbours}) == 1
    )
