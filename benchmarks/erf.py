"""Times our receptive fields against OpenERF's loop, in one run, and writes JSON and a table.

python -m benchmarks.erf --images=DIR --peer-python=/path/to/python [--threads=1] [--rounds=5] [--batch_size=8]
    [--model=vit_small_patch16_224] [--out=F.json]

DIR holds the JPEG files, 64 of them for the published numbers. OpenERF runs as it is, one image at a time, in the
interpreter that has torch, timm and openerf; its models compute in float32 only. Both sides are pinned to the same
`--threads` cores; every round times the peer and ours one after the other, so that a busy machine hurts both. "files"
is end to end, from JPEG files to the sum of the maps; "compute" begins with normalised images in memory. Both are
timed by the clock and by processor seconds, of which the second is what a busy machine changes least. Compilation is
not counted; its time is in the record. Weights are each side's own fresh ones, with perturbed normalisations here:
neither side's time depends on their values.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Literal

import jax
import numpy as np
from flax import nnx

from benchmarks import timing
from gauss_vit.analysis.erf import ErfBatch, add, batch_of, begin
from gauss_vit.analysis.protocol import BMVC2023
from gauss_vit.analysis.token import center_token
from gauss_vit.commands.erf_run import Measurement, measure
from gauss_vit.commands.feature_reader import features_of
from gauss_vit.commands.model_source import NamedModel
from gauss_vit.data.image import load_image, open_images, to_array
from gauss_vit.data.transforms import ResizeCenterCrop
from gauss_vit.models.construct import build
from gauss_vit.models.presets import PRESETS
from gauss_vit.train.normalization import Normalization

Dtype = Literal["float32", "bfloat16"]
Seconds = dict[str, float]


class Peer:
    """OpenERF in another process."""

    def __init__(self, python: Path, name: str, folder: Path, num_threads: int):
        self._process = subprocess.Popen(
            [python, "-m", "benchmarks.openerf_peer", name, folder, str(num_threads)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ | {"OMP_WAIT_POLICY": "PASSIVE", "OMP_NUM_THREADS": str(num_threads)},
        )

    def seconds(self, kind: str) -> Seconds:
        """Runs one measurement."""
        assert self._process.stdin is not None and self._process.stdout is not None, "piped above"
        self._process.stdin.write(kind + "\n")
        self._process.stdin.flush()
        return json.loads(self._process.stdout.readline())

    def close(self) -> None:
        """Ends the process."""
        self._process.communicate()


def perturbed(name: str) -> NamedModel:
    """Makes a preset whose last normalisation is not constant, which would leave nothing to measure."""
    config = PRESETS[name]
    graph, state = nnx.split(build(config, jax.random.key(0)))
    params = nnx.to_pure_dict(state)
    scale = params["norm"]["scale"]
    params["norm"]["scale"] = scale + 0.1 * jax.random.normal(jax.random.key(1), scale.shape, scale.dtype)
    return NamedModel(
        name=name,
        config=config,
        graph=graph,
        params=params,
        step=0,
        transform=ResizeCenterCrop(),
        normalization=Normalization(mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5)),
    )


def timed(run: Callable[[], object]) -> Seconds:
    """Times a run by the clock and by the processor."""
    start, start_cpu = time.perf_counter(), time.process_time()
    run()
    return {"wall": time.perf_counter() - start, "cpu": time.process_time() - start_cpu}


def from_files(named: NamedModel, paths: tuple[Path, ...], *, dtype: Dtype, batch_size: int) -> Callable[[], object]:
    """Makes our run from files."""
    measurement = Measurement(
        tokens=(center_token(named.config.grid),),
        layer=None,
        protocol=BMVC2023,
        paths=paths,
        batch_size=batch_size,
        stem=named.name,
        dtype=dtype,
    )
    return lambda: measure(named, measurement)


def from_memory(batches: list[ErfBatch], named: NamedModel, *, dtype: Dtype) -> Callable[[], object]:
    """Makes our run from normalised images."""
    features = features_of(named.config, named.params, layer=None, protocol=BMVC2023, dtype=dtype)
    empty = begin(features, batches[0], tokens=(center_token(named.config.grid),), protocol=BMVC2023)

    def run() -> None:
        total = empty
        for batch in batches:
            total = add(total, features, batch)

    return run


def prepared(named: NamedModel, paths: tuple[Path, ...], *, batch_size: int) -> list[ErfBatch]:
    """Decodes and normalises all images."""
    size = named.config.image_size
    pixels = np.stack([to_array(named.transform(load_image(path), size=size)) for path in paths])
    return [
        batch_of(named.normalization(jax.numpy.asarray(pixels[start : start + batch_size])))
        for start in range(0, len(pixels), batch_size)
    ]


def measured(arguments: argparse.Namespace) -> dict[str, object]:
    """Runs all rounds."""
    named, paths = perturbed(arguments.model), open_images(arguments.images)
    batches = prepared(named, paths, batch_size=arguments.batch_size)
    ours = {
        (kind, dtype): from_files(named, paths, dtype=dtype, batch_size=arguments.batch_size)
        if kind == "files"
        else from_memory(batches, named, dtype=dtype)
        for kind in ("files", "compute")
        for dtype in ("float32", "bfloat16")
    }
    peer = Peer(arguments.peer_python, arguments.model, arguments.images, arguments.threads)
    first = {" ".join(case): timed(run)["wall"] for case, run in ours.items()}
    rounds: dict[tuple[str, str], list[tuple[Seconds, Seconds]]] = {case: [] for case in ours}
    for _ in range(arguments.rounds):
        for (kind, dtype), run in ours.items():
            rounds[kind, dtype].append((peer.seconds(kind), timed(run)))
    peer.close()
    return {
        "model": arguments.model,
        "num_images": len(paths),
        "threads": arguments.threads,
        "batch_size": arguments.batch_size,
        "first_run_s": first,
        "cases": {" ".join(case): _case(pairs) for case, pairs in rounds.items()},
        "machine": timing.machine(),
    }


def _case(pairs: list[tuple[Seconds, Seconds]]) -> dict[str, object]:
    record: dict[str, object] = {}
    for clock in ("wall", "cpu"):
        peer, ours = [one[clock] for one, _ in pairs], [one[clock] for _, one in pairs]
        record[clock] = {
            "openerf": timing.spread(peer),
            "ours": timing.spread(ours),
            "times_faster": timing.ratio(peer, ours),
        }
    return record


def main() -> None:
    """Prints a table and writes the record."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--images", type=Path, required=True)
    parser.add_argument("--peer-python", type=Path, required=True)
    parser.add_argument("--model", default="vit_small_patch16_224")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--batch_size", type=int, default=8)
    parser.add_argument("--out", type=Path)
    record = measured(parser.parse_args())
    timing.write(parser.parse_args().out, record)
    print(f"{'':18} {'clock':5} {'OpenERF s':>10} {'ours s':>8} {'times faster: median, min, max':>32}")
    for case, clocks in record["cases"].items():
        for clock, found in clocks.items():
            ratio = found["times_faster"]
            times = f"{ratio['median']:.2f}, {ratio['min']:.2f}, {ratio['max']:.2f}"
            seconds = f"{found['openerf']['median_s']:10.2f} {found['ours']['median_s']:8.2f}"
            print(f"{case:18} {clock:5} {seconds} {times:>32}")


def pin() -> None:
    """Keeps this process and the peer on the first cores; before JAX counts them."""
    num_threads = next((int(word.partition("=")[2]) for word in sys.argv if word.startswith("--threads=")), 1)
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:num_threads])


if __name__ == "__main__":
    pin()
    main()
