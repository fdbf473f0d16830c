"""The cases for stock libraries are written whole; `tests.weights.load_elsewhere` loads them where torch is."""

import json

import numpy as np
import pytest

from tests.weights.write_exports import CASES, write_case


@pytest.mark.full
def test_case_is_a_folder_a_file_and_logits(tmp_path):
    name = "deit_distilled"
    write_case(tmp_path, "hugging_face", name, CASES["hugging_face"][name])
    place = tmp_path / "hugging_face" / name
    names = {path.name for path in (place / "folder").iterdir()}
    assert names == {"model.safetensors", "config.json", "preprocessor_config.json"}
    code = json.loads((place / "code.json").read_text())
    assert code["folder"] == [
        f"transformers.AutoModelForImageClassification.from_pretrained({str(place / 'folder')!r})"
    ]
    reference = np.load(place / "reference.npz")
    assert reference["images"].shape == (2, 224, 224, 3) and reference["logits"].shape == (2, 5)
