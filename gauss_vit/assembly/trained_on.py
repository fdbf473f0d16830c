"""What an experiment's parameters are trained on, for its checkpoints."""

from collections.abc import Mapping, Sequence

from gauss_vit.assembly.feeds import Sources, evaluated
from gauss_vit.data.config import Data
from gauss_vit.data.examples import Source, palette_of
from gauss_vit.experiment import Experiment
from gauss_vit.files import FileSet
from gauss_vit.models import construct
from gauss_vit.ops.pixel_normalization import Normalization
from gauss_vit.palette import Palette
from gauss_vit.trained_on import TrainedOn
from gauss_vit.waiting import announced
from gauss_vit.weights.resample_positions import grids_of


def trained_on(experiment: Experiment, sources: Sources) -> TrainedOn:
    """Describes classes with their colours, pixel statistics, grids and files of a run.

    Raises:
      DataError: a file of the data has vanished.
    """
    return TrainedOn(
        class_names=() if experiment.task.num_classes is None else sources.train.class_names,
        normalization=experiment.data.normalization,
        grids=grids_of(experiment.model, construct.abstract(experiment.network)[1]),
        files=_files(experiment, sources),
        palette=palette_of(sources.train),
    )


def imported_from(
    experiment: Experiment,
    class_names: Sequence[str],
    *,
    normalization: Normalization | None,
    palette: Palette = (),
) -> TrainedOn:
    """Describes imported parameters, of whose data no more is known than their classes, colours and pixels, if that.

    Their positions are on the grids of the experiment, for which they were resampled.
    """
    return TrainedOn(
        class_names=tuple(class_names),
        normalization=normalization,
        grids=grids_of(experiment.model, construct.abstract(experiment.network)[1]),
        files={},
        palette=palette,
    )


def files_name(data: Data, split: str) -> str:
    """Names the files of a split in a record: the same wherever the data set is.

    A random split is of the whole set, so that the name is that of the set.
    """
    return data.name if data.split_protocol == "paper" else f"{data.name} {split}"


def file_set(source: Source) -> FileSet:
    """Reads the names and sizes of the files of a split, and says so if that takes long.

    Raises:
      DataError: a file has vanished.
    """
    with announced("reading the sizes of the data's files"):
        return source.file_set()


def _files(experiment: Experiment, sources: Sources) -> Mapping[str, FileSet]:
    """Summarises the files of the training split and of those of the evaluators, each once.

    An evaluator with a folder of its own may give the same name to other files, which are named after the evaluator.
    """
    data = experiment.data
    files = {files_name(data, data.train_split): file_set(sources.train)}
    for evaluator in experiment.evaluators:
        shown, source = evaluated(experiment, evaluator).data, sources.evaluation[evaluator.name]
        own_folder = "" if evaluator.data_dir is None else f" of {evaluator.name}"
        name = files_name(shown, shown.eval_split) + own_folder
        if name not in files:
            files[name] = file_set(source)
    return files
