"""TFDS data sets of one drawn record, with any features, for the tests of what is read from them."""

import contextlib
import io

import tensorflow_datasets as tfds


class OneRecord(tfds.core.GeneratorBasedBuilder, skip_registration=True):
    """A data set of one record with given features."""

    def __init__(self, name, *, features, values, data_dir):
        self.name, self.VERSION = name, tfds.core.Version("1.0.0")
        self.features, self.values = features, values
        super().__init__(data_dir=data_dir, version="1.0.0", file_format="array_record")

    def _info(self):
        return tfds.core.DatasetInfo(builder=self, features=tfds.features.FeaturesDict(self.features))

    def _split_generators(self, dl_manager):
        return {"test": iter([(0, self.values)])}

    def _generate_examples(self):
        return iter(())


def build_quietly(builder):
    """Writes a data set without download; what tfds prints about downloads is dropped."""
    config = tfds.download.DownloadConfig(try_download_gcs=False, compute_stats=tfds.download.ComputeStatsMode.SKIP)
    output = io.StringIO()
    with contextlib.redirect_stdout(output), contextlib.redirect_stderr(output):
        builder.download_and_prepare(download_config=config)
