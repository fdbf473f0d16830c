"""The benchmark of receptive fields: bars of each backend, and sides that take turns."""

import argparse
from types import SimpleNamespace

import jax
import pytest

from benchmarks import erf
from gauss_vit.models.presets import PRESETS

CASES = {f"{kind} {dtype}" for kind in ("files", "compute") for dtype in ("float32", "bfloat16")}


@pytest.mark.parametrize(("backend", "judged"), [("cpu", CASES), ("gpu", {"compute float32", "compute bfloat16"})])
def test_a_gpu_is_to_be_thirty_times_as_fast_at_computing(monkeypatch, backend, judged):
    monkeypatch.setattr(jax, "default_backend", lambda: backend)
    seconds = {clock: {"openerf": [30.0], "ours": [1.0]} for clock in ("wall", "cpu")}
    table = erf.table(dict.fromkeys(CASES, seconds), 64, judge="wall")
    bars = {row.what: row.at_least for row in table if row.at_least}
    assert bars.keys() == {f"{case}, wall" for case in judged}
    if backend == "gpu":
        assert set(bars.values()) == {30.0}
    assert all(row.ratio.median == 30.0 for row in table)


def test_the_peer_and_ours_lead_in_turns(monkeypatch, tmp_path):
    order = []

    class OpenErf:
        def __init__(self, python, module, *arguments):
            assert module == "benchmarks.openerf_peer"

        def seconds(self, kind):
            order.append(f"OpenERF {kind}")
            return {"wall": 4.0, "cpu": 2.0}

        def versions(self):
            return {"openerf": "0.6"}

        def close(self):
            order.append("closed")

    monkeypatch.setattr(erf, "Peer", OpenErf)
    monkeypatch.setattr(erf, "perturbed", lambda name, *, is_unrolled: SimpleNamespace(config=PRESETS[name]))
    monkeypatch.setattr(erf, "open_images", lambda folder: ("a", "b"))
    monkeypatch.setattr(erf, "prepared", lambda named, paths, *, batch_size: [])
    monkeypatch.setattr(erf, "from_files", lambda named, paths, *, dtype, batch_size: lambda: order.append("files"))
    monkeypatch.setattr(erf, "from_memory", lambda batches, named, *, dtype: lambda: order.append("compute"))
    monkeypatch.setattr(erf, "DTYPES", ("float32",))
    arguments = argparse.Namespace(
        model="vit_small_patch16_224",
        unrolled=False,
        images=tmp_path,
        batch_size=2,
        peer_python="python",
        threads=1,
        rounds=2,
    )
    found = erf.measured(arguments)
    turn = ["OpenERF files", "files", "OpenERF compute", "compute"]
    # The first run of ours compiles.
    assert order == ["files", "compute", *turn, *reversed(turn), "closed"]
    assert found["peer_versions"] == {"openerf": "0.6"}
    assert found["attention"].startswith("Attention by whole in float32")
    assert found["cases"]["files float32"]["wall"]["openerf"] == [4.0, 4.0]
    assert found["cases"].keys() == {"files float32", "compute float32"}
