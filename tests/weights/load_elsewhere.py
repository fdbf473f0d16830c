"""Loads what `tests.weights.write_exports` wrote with stock timm and transformers, and compares their logits with ours.

python -m tests.weights.load_elsewhere FOLDER    (needs torch, timm and transformers, and not JAX)

It prints a line for every case: the largest difference of the logits over their largest size.
"""

import functools
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import torch

from tests.torchvision_operators import load_torchvision

load_torchvision()

import timm
import transformers
from safetensors.torch import load_file

MEAN, STD = (0.5, 0.4, 0.3), (0.2, 0.3, 0.4)
NAMES = ["cat", "a dog", "café", "d", "e"]
TOLERANCE = 2e-5
"""Of logits of order 1 in float32, summed in another order."""


def logits_of(model: torch.nn.Module, images: np.ndarray) -> np.ndarray:
    """Logits of RGB bytes, as either library's models give them."""
    pixels = (images.astype(np.float32) / 255 - np.float32(MEAN)) / np.float32(STD)
    with torch.no_grad():
        outputs = model.eval()(torch.from_numpy(pixels).permute(0, 3, 1, 2))
    return getattr(outputs, "logits", outputs).numpy()


def run(lines: list[str]) -> torch.nn.Module:
    """Runs the code that `convert` prints: its last expression, or its variable `model`, is the model."""
    scope: dict = {"timm": timm, "transformers": transformers, "torch": torch, "functools": functools}
    if len(lines) == 1:
        return eval(lines[0], scope)
    exec("\n".join(lines), scope)
    return scope["model"]


def check_timm(model: torch.nn.Module) -> None:
    """Compares what timm reads from config.json with what was written."""
    data = timm.data.resolve_model_data_config(model)
    assert (tuple(data["mean"]), tuple(data["std"])) == (MEAN, STD), data
    assert (data["interpolation"], data["crop_pct"]) == ("bicubic", 0.8), data
    assert list(model.pretrained_cfg["label_names"]) == NAMES and model.num_classes == 5


def check_transformers(model: torch.nn.Module, folder: Path) -> None:
    """Compares what transformers reads from the JSON files with what was written."""
    assert [model.config.id2label[index] for index in range(5)] == NAMES
    processor = transformers.AutoImageProcessor.from_pretrained(folder)
    assert (tuple(processor.image_mean), tuple(processor.image_std)) == (MEAN, STD)
    _, found = type(model).from_pretrained(folder, output_loading_info=True)
    assert not (found["missing_keys"] or found["unexpected_keys"] or found["mismatched_keys"]), found
    if model.config.model_type == "upernet":
        return
    base = transformers.AutoModel.from_pretrained(folder)
    assert type(base).__name__ in ("ViTModel", "DeiTModel", "SwinModel")


def check_case(place: Path) -> float:
    """Loads a folder, and a file where there is code for it; returns the largest relative difference of logits."""
    reference, code = np.load(place / "reference.npz"), json.loads((place / "code.json").read_text())
    models = [run(code["folder"])] + ([run(code["file"])] if code["file"] else [])
    if place.parent.name == "timm":
        check_timm(models[0])
    else:
        check_transformers(models[0], place / "folder")
    wanted = reference["logits"]
    differences = [np.abs(logits_of(model, reference["images"]) - wanted).max() for model in models]
    return float(max(differences) / np.abs(wanted).max())


def check_remedy(folder: Path) -> None:
    """Writes the pickle that was refused, with weights that share memory, and runs the advised command."""
    remedy = json.loads((folder / "remedy.json").read_text())
    weights = torch.arange(6.0).reshape(2, 3)
    torch.save({"model": {"a": weights.T, "b": weights}, "epoch": 3}, remedy["pickle"])
    command = remedy["command"].replace("python -c", f"{sys.executable} -c", 1)
    subprocess.run(command, shell=True, check=True)
    found = load_file(Path(remedy["pickle"]).with_suffix(".safetensors"))
    assert torch.equal(found["a"], weights.T) and torch.equal(found["b"], weights) and len(found) == 2


def main() -> None:
    """Checks every case; the exit status is 1 if one differs."""
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    folder, failed = Path(sys.argv[1]).absolute(), []
    sys.stdout.write(f"torch {torch.__version__}, timm {timm.__version__}, transformers {transformers.__version__}\n")
    for place in sorted(
        path.parent for library in ("timm", "hugging_face") for path in folder.glob(f"{library}/*/code.json")
    ):
        error = check_case(place)
        name = f"{place.parent.name} {place.name}"
        sys.stdout.write(f"{name:32} {error:.1e}\n")
        failed += [name] if not error < TOLERANCE else []
    check_remedy(folder)
    sys.stdout.write("the remedy for pickles works\n")
    sys.exit(f"differ: {', '.join(failed)}" if failed else 0)


if __name__ == "__main__":
    main()
