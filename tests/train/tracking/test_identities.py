"""A run is found again at every service that it was at."""

from pathlib import Path

from gauss_vit.train.tracking.identities import identity, remember


def test_every_service_has_its_identity(tmp_path: Path):
    assert identity(tmp_path, "wandb") is None
    remember(tmp_path, "wandb", "abc")
    remember(tmp_path, "mlflow", "123")
    assert (identity(tmp_path, "wandb"), identity(tmp_path, "mlflow")) == ("abc", "123")
