"""Times our batched Gaussian fit against a loop of lmfit, in one run, and says how far the results differ.

python -m benchmarks.gaussian_fit [--maps=10000] [--peer-maps=500] [--rounds=3] [--out=F.json]

Both fit the paper's model from the paper's starting values to the same noisy 28 x 28 maps, in float64. Ours fits all
maps in one call, from two starts each; the first call compiles and is timed apart. lmfit fits the first `--peer-maps`
of them with its default tolerances, and its time for all is extrapolated in proportion; `--peer-maps=10000` measures it
whole. Rounds are interleaved: ours, lmfit, ours, lmfit.
"""

import argparse
import time
from pathlib import Path

import lmfit
import numpy as np

from benchmarks import rows, timing
from benchmarks.rows import Row
from gauss_vit.analysis.gaussian_fit import GaussianFit, fit_receptive_fields, starting_values

SIDE = 28
NAMES = ("amplitude", "center_x", "center_y", "sigma_x", "sigma_y")


def noisy_maps(num_maps: int) -> np.ndarray:
    """Draws Gaussians of various places and widths on a floor, with noise of a tenth of the signal; sums are 1."""
    random = np.random.default_rng(0)
    y, x = np.indices((SIDE, SIDE))
    center_x, center_y = random.uniform(8, 20, (2, num_maps, 1, 1))
    sigma_x, sigma_y = random.uniform(1.5, 6, (2, num_maps, 1, 1))
    clean = np.exp(-((x - center_x) ** 2) / (2 * sigma_x**2) - (y - center_y) ** 2 / (2 * sigma_y**2)) + 0.02
    maps = clean * random.uniform(0.9, 1.1, clean.shape)
    return maps / maps.sum(axis=(1, 2), keepdims=True)


def curve(mesh, amplitude, center_x, center_y, sigma_x, sigma_y):  # noqa: ANN001, ANN201  lmfit reads the names alone
    """Computes the paper's model on a mesh, flat."""
    x, y = mesh
    exponent = (x - center_x) ** 2 / (2 * sigma_x**2) + (y - center_y) ** 2 / (2 * sigma_y**2)
    return np.ravel(amplitude * np.exp(-exponent) / (2 * np.pi * sigma_x * sigma_y))


def fit_with_lmfit(maps: np.ndarray) -> np.ndarray:
    """Fits the maps one by one: [maps, 5]."""
    mesh = np.meshgrid(np.arange(SIDE), np.arange(SIDE))
    start = dict(zip(NAMES, starting_values(SIDE, SIDE), strict=True))
    model = lmfit.Model(curve)
    results = [model.fit(values.ravel(), mesh=mesh, **start).best_values for values in maps]
    return np.array([[result[name] for name in NAMES] for result in results])


def largest_difference(fits: tuple[GaussianFit, ...], theirs: np.ndarray) -> tuple[float, int]:
    """Gives the largest relative difference of the widths where lmfit found a Gaussian, and where it did not."""
    ours = np.array([[fit.sigma_x, fit.sigma_y] for fit in fits[: len(theirs)]])
    difference = np.abs(ours / np.abs(theirs[:, 3:]) - 1).max(axis=1)
    return float(difference[difference < 0.01].max()), int((difference >= 0.01).sum())


def main() -> None:
    """Prints a table and writes the record."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--maps", type=int, default=10_000)
    parser.add_argument("--peer-maps", type=int, default=500)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    maps = noisy_maps(arguments.maps)
    begin = time.perf_counter()
    fits = fit_receptive_fields(maps)
    first = time.perf_counter() - begin
    ours, peer = [], []
    for _ in range(arguments.rounds):
        begin = time.perf_counter()
        fits = fit_receptive_fields(maps)
        ours.append(time.perf_counter() - begin)
        begin = time.perf_counter()
        theirs = fit_with_lmfit(maps[: arguments.peer_maps])
        peer.append((time.perf_counter() - begin) * arguments.maps / arguments.peer_maps)
    difference, num_apart = largest_difference(fits, theirs)
    own, other = ([arguments.maps / seconds for seconds in side] for side in (ours, peer))
    compared = Row(
        what=f"fits of {SIDE} x {SIDE} maps",
        ours=rows.figure(own, "fits/s"),
        peer=rows.figure(other, "fits/s"),
        ratio=rows.quotient(own, other),
    )
    rows.show([compared])
    print(
        f"first call with compilation {first:.2f} s; sigma differs by {difference:.1e} at most; {num_apart} end apart"
    )
    details = {
        "first_call_s": first,
        "ours": timing.spread(ours),
        "lmfit": timing.spread(peer),
        "times_faster_with_compilation": float(np.median(peer)) / first,
        "num_converged": sum(fit.converged for fit in fits),
        "largest_relative_difference_of_sigma": difference,
        "fits_that_end_apart": num_apart,
    }
    notes = (
        f"{arguments.maps} maps in one call, from two starts each, beside lmfit on {arguments.peer_maps} of them; "
        f"by the clock, on all cores. Widths differ by {difference:.1e} at most.",
    )
    record = rows.record([compared], ratio="ours / lmfit's fits a second", peer="lmfit", notes=notes, **details)
    rows.write(arguments.out, record)


if __name__ == "__main__":
    main()
