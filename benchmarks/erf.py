"""Times our receptive fields against OpenERF's loop, in one run, and writes JSON and a table.

python -m benchmarks.erf --images=DIR --peer-python=/path/to/python [--threads=1] [--core=0] [--rounds=5]
    [--batch_size=64] [--model=vit_small_patch16_224] [--unrolled] [--onednn] [--huge_pages] [--out=F.json]

DIR holds the JPEG files, 64 of them for the published numbers. OpenERF runs as it is, one image at a time, in the
interpreter that has torch, timm and openerf; its models compute in float32 only. Both sides are pinned to the same
`--threads` cores, each a device of ours; every round times the peer and ours one after the other, by turns, so that a
busy machine hurts both. "files" is end to end, from JPEG files to the sum of the maps; "compute" begins with normalised
images in memory, on a GPU in its own. Both are timed by the clock and by processor seconds. On one core the second is
what a busy machine changes least, and bars are set on it; on several, and on a GPU, the clock counts, as cores that
wait cost nobody processor time. Compilation is not counted; its time is in the record. Weights are each side's own
fresh ones, with perturbed normalisations here: neither side's time depends on their values.
"""

import argparse
import dataclasses
from collections.abc import Callable
from functools import partial
from pathlib import Path

import jax
import numpy as np
from flax import nnx

from benchmarks import kernel, process, rows, timing
from benchmarks.process import Peer
from benchmarks.rows import Row
from benchmarks.timing import Seconds, timed
from gauss_vit.analysis.erf import ErfBatch, add, batch_of, begin
from gauss_vit.analysis.protocol import BMVC2023
from gauss_vit.analysis.token import center_token
from gauss_vit.assembly import cpu_devices
from gauss_vit.assembly.device import model_here
from gauss_vit.assembly.named_model import NamedModel
from gauss_vit.data.images.image import load_image, open_images, to_array
from gauss_vit.data.images.transforms import ResizeCenterCrop
from gauss_vit.heads.network import NetworkConfig
from gauss_vit.inspect.erf_run import Measurement, measure
from gauss_vit.inspect.features import features_of
from gauss_vit.models.compute import ActivationType, Compute
from gauss_vit.models.construct import build
from gauss_vit.models.presets import PRESETS
from gauss_vit.ops.pixel_normalization import Normalization
from gauss_vit.tasks.classification import Classification
from gauss_vit.train import mesh

BARS = {"files float32": 1.5, "files bfloat16": 1.8, "compute float32": 1.2, "compute bfloat16": 1.8}
"""How many times faster than the peer ours must be on a CPU."""

GPU_BARS = {"compute float32": 30.0, "compute bfloat16": 30.0}
"""The same on a GPU, where one image at a time is far too little."""

DTYPES: tuple[ActivationType, ...] = ("float32", "bfloat16")


def perturbed(name: str, *, is_unrolled: bool) -> NamedModel:
    """Makes a preset whose last normalisation is not constant, which would leave nothing to measure."""
    config = model_here(PRESETS[name])
    unroll = config.depth if is_unrolled else None
    config = dataclasses.replace(config, compute=dataclasses.replace(config.compute, unroll=unroll))
    task = Classification()
    params = nnx.to_pure_dict(nnx.state(build(NetworkConfig(backbone=config, head=task.head), jax.random.key(0))))
    scale = params["backbone"]["norm"]["scale"]
    params["backbone"]["norm"]["scale"] = scale + 0.1 * jax.random.normal(jax.random.key(1), scale.shape, scale.dtype)
    return NamedModel(
        name=name,
        config=config,
        task=task,
        params=params,
        step=0,
        eval_transform=ResizeCenterCrop(),
        normalization=Normalization(mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5)),
    )


def from_files(
    named: NamedModel, paths: tuple[Path, ...], *, dtype: ActivationType, batch_size: int
) -> Callable[[], object]:
    """Makes our run from files."""
    measurement = Measurement(
        tokens=(center_token(named.config.grid),),
        layer=None,
        protocol=BMVC2023,
        images=paths,
        batch_size=batch_size,
        stem=named.name,
        dtype=dtype,
    )
    return lambda: measure(named, measurement)


def from_memory(batches: list[ErfBatch], named: NamedModel, *, dtype: ActivationType) -> Callable[[], object]:
    """Makes our run from normalised images."""
    params = jax.device_put(named.params, mesh.replicated(mesh.make(mesh.MeshConfig(), jax.devices())))
    features = features_of(named.config, params, layer=None, protocol=BMVC2023, dtype=dtype)
    empty = begin(features, batches[0], tokens=(center_token(named.config.grid),), protocol=BMVC2023)

    def run() -> None:
        total = empty
        for batch in batches:
            total = add(total, features, batch)

    return run


def prepared(named: NamedModel, paths: tuple[Path, ...], *, batch_size: int) -> list[ErfBatch]:
    """Decodes and normalises all images, and spreads each batch over the devices as the command does."""
    devices = mesh.make(mesh.MeshConfig(), jax.devices())
    size = named.config.image_size
    pixels = np.stack([to_array(named.transform(load_image(path), size=size)) for path in paths])
    return [
        mesh.place_batch(batch_of(named.normalization(jax.numpy.asarray(pixels[start : start + batch_size]))), devices)
        for start in range(0, len(pixels), batch_size)
    ]


def measured(arguments: argparse.Namespace) -> dict[str, object]:
    """Runs all rounds; the peer and ours follow each other, and change their order from round to round."""
    named, paths = perturbed(arguments.model, is_unrolled=arguments.unrolled), open_images(arguments.images)
    batches = prepared(named, paths, batch_size=arguments.batch_size)
    ours = {
        f"{kind} {dtype}": from_files(named, paths, dtype=dtype, batch_size=arguments.batch_size)
        if kind == "files"
        else from_memory(batches, named, dtype=dtype)
        for kind in ("files", "compute")
        for dtype in DTYPES
    }
    peer = Peer(arguments.peer_python, "benchmarks.openerf_peer", arguments.model, arguments.images, arguments.threads)
    first = {case: timed(run)["wall"] for case, run in ours.items()}
    sides: dict[str, Callable[[], Seconds]] = {}
    for case, run in ours.items():
        sides[f"OpenERF {case}"] = partial(peer.seconds, case.split()[0])
        sides[case] = partial(timed, run)
    found = timing.interleaved(sides, rounds=arguments.rounds)
    versions = peer.versions()
    peer.close()
    return {
        "num_images": len(paths),
        "first_run_s": first,
        "peer_versions": versions,
        "attention": kernel.note(dataclasses.replace(named.config, compute=Compute(dtype=dtype)) for dtype in DTYPES),
        "cases": {case: _by_clock(found[f"OpenERF {case}"], found[case]) for case in ours},
    }


def _by_clock(peer: list[Seconds], ours: list[Seconds]) -> dict[str, dict[str, list[float]]]:
    return {
        clock: {"openerf": timing.of_clock(peer, clock), "ours": timing.of_clock(ours, clock)}
        for clock in ("wall", "cpu")
    }


def bar(case: str) -> float | None:
    """The bar of a case on this backend."""
    bars = {"cpu": BARS, "gpu": GPU_BARS}.get(jax.default_backend(), {})
    return bars.get(case)


def table(cases: dict[str, dict[str, dict[str, list[float]]]], num_images: int, *, judge: str) -> list[Row]:
    """A row for every case and clock, in images a second; bars are set on the clock `judge`."""
    return [
        Row(
            what=f"{case}, {clock}",
            ours=rows.figure([num_images / seconds for seconds in found["ours"]], "images/s"),
            peer=rows.figure([num_images / seconds for seconds in found["openerf"]], "images/s"),
            ratio=rows.quotient(found["openerf"], found["ours"]),
            at_least=bar(case) if clock == judge else None,
        )
        for case, clocks in cases.items()
        for clock, found in clocks.items()
    ]


def main() -> None:
    """Prints a table and writes the record."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--images", type=Path, required=True)
    parser.add_argument("--peer-python", type=Path, required=True)
    parser.add_argument("--model", default="vit_small_patch16_224")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--batch_size", type=int, default=64)
    parser.add_argument("--unrolled", action="store_true")
    process.add_flags(parser)
    arguments = parser.parse_args()
    process.prepare(arguments)
    cpu_devices.as_devices(batch_size=arguments.batch_size)
    found = measured(arguments)
    judge = "cpu" if arguments.threads == 1 and jax.default_backend() == "cpu" else "wall"
    compared = table(found["cases"], found["num_images"], judge=judge)
    rows.show(compared)
    notes = (
        f"{arguments.model}, {found['num_images']} images in batches of {arguments.batch_size}; "
        "OpenERF takes one at a time, in float32.",
        found["attention"],
    )
    record = rows.record(compared, ratio="ours / OpenERF's images a second", peer="OpenERF", notes=notes, **found)
    rows.write(arguments.out, record)


if __name__ == "__main__":
    main()
