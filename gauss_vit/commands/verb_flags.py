"""The flags of every verb, declared where nothing heavy is imported.

One function a verb. Each takes absl's `FlagValues` and declares into it; `main` reads them back into
`Invocation.options`.
`--config` and `--config.KEY=VALUE` are declared by `main` itself, for the verbs that take an experiment.
"""

from absl import flags


def define_train(flag_values: flags.FlagValues) -> None:
    """`train`: where the run lives."""
    _define_workdir(flag_values)


def define_evaluate(flag_values: flags.FlagValues) -> None:
    """`evaluate`: the run to measure, and by what."""
    _define_workdir(flag_values)
    flags.DEFINE_bool("ema", False, "Measure the moving average of the parameters.", flag_values=flag_values)
    flags.DEFINE_bool("best", False, "The best checkpoint instead of the newest.", flag_values=flag_values)
    flags.DEFINE_string(
        "subset",
        None,
        "`imagenet_a` or `imagenet_r`: choose among these 200 of ImageNet's classes.",
        flag_values=flag_values,
    )
    flags.DEFINE_string(
        "image_sizes", None, "Sizes in pixels to measure at, such as 192,224,256x320.", flag_values=flag_values
    )
    flags.DEFINE_float(
        "crop",
        None,
        "Share of the resized image that is seen, in place of the config's.",
        lower_bound=0.0,
        upper_bound=1.0,
        flag_values=flag_values,
    )


def define_probe(flag_values: flags.FlagValues) -> None:
    """`probe`: the run whose frozen features are judged, and how."""
    _define_workdir(flag_values)
    flags.DEFINE_bool("ema", False, "Judge the moving average of the parameters.", flag_values=flag_values)
    flags.DEFINE_integer("neighbours", 20, "Examples that vote.", lower_bound=1, flag_values=flag_values)
    flags.DEFINE_integer(
        "shots",
        10,
        "Labelled examples of each class for the linear classifier.",
        lower_bound=1,
        flag_values=flag_values,
    )
    flags.DEFINE_float(
        "penalty", 1024.0, "On the classifier's squared weights.", lower_bound=0.0, flag_values=flag_values
    )


def define_show(flag_values: flags.FlagValues) -> None:
    """`show`: how many devices to lay the parameters out on."""
    flags.DEFINE_integer(
        "mesh",
        None,
        "Number of devices to show the layout for; they need not exist.",
        lower_bound=1,
        flag_values=flag_values,
    )


def define_erf(flag_values: flags.FlagValues) -> None:
    """`erf`: the model, the images and the protocol of a receptive field."""
    _define_model(flag_values)
    flags.DEFINE_string("images", None, "Folder of images.", flag_values=flag_values)
    flags.DEFINE_string("out", None, "Folder for the results.", flag_values=flag_values)
    flags.DEFINE_integer(
        "max_images", None, "Number of images to use; all by default.", lower_bound=1, flag_values=flag_values
    )
    flags.DEFINE_integer("batch_size", 64, "Most images in one pass.", lower_bound=1, flag_values=flag_values)
    flags.DEFINE_string("token", "center", "`center`, `all` or `row,column`.", flag_values=flag_values)
    flags.DEFINE_string("layer", "last", "`last`, `all` or the number of a block.", flag_values=flag_values)
    flags.DEFINE_string(
        "protocol",
        "bmvc2023",
        "`bmvc2023`, `pre_norm`, `random_projection`, `replknet` or `luo2016`.",
        flag_values=flag_values,
    )
    flags.DEFINE_string("dtype", "float32", "`float32`, or `bfloat16`: faster, less exact.", flag_values=flag_values)
    flags.DEFINE_string("fit", "free", "Gaussian fit: `free` (the paper's) or `bounded`.", flag_values=flag_values)
    flags.DEFINE_string(
        "intervention",
        "none",
        "`none`, `reinit`, `paper_code`, `zero` or `without_gaussian` on position information; several with commas.",
        flag_values=flag_values,
    )
    flags.DEFINE_integer("seed", 0, "Of what an intervention draws.", lower_bound=0, flag_values=flag_values)
    flags.DEFINE_bool("bands", True, "Draw confidence bands over images, for one token.", flag_values=flag_values)
    flags.DEFINE_integer(
        "save_every",
        2,
        "Batches between two saves, from which a killed run goes on.",
        lower_bound=1,
        flag_values=flag_values,
    )


def define_compare(flag_values: flags.FlagValues) -> None:
    """`compare`: where the comparison of receptive fields goes."""
    flags.DEFINE_string("out", None, "Results, without suffix.", flag_values=flag_values)


def define_position(flag_values: flags.FlagValues) -> None:
    """`position`: the model whose positions are drawn and fitted, and images for its attention."""
    _define_model(flag_values)
    flags.DEFINE_string("out", None, "Folder for the results.", flag_values=flag_values)
    flags.DEFINE_string("token", "center", "`center` or `row,column`.", flag_values=flag_values)
    flags.DEFINE_string("images", None, "Folder of images, to see how far attention looks.", flag_values=flag_values)
    flags.DEFINE_integer(
        "max_images", None, "Number of images to use; all by default.", lower_bound=1, flag_values=flag_values
    )


def define_report(flag_values: flags.FlagValues) -> None:
    """`report`: the model, the images and the file of a page to explore them."""
    _define_model(flag_values)
    flags.DEFINE_string("images", None, "Folder of images; a run has its own.", flag_values=flag_values)
    flags.DEFINE_string("out", "report.html", "The .html file to write.", flag_values=flag_values)
    flags.DEFINE_integer(
        "max_images", None, "Images to average fields over; all by default.", lower_bound=1, flag_values=flag_values
    )
    flags.DEFINE_integer("show_images", 8, "Images to look at.", lower_bound=1, flag_values=flag_values)
    flags.DEFINE_integer("batch_size", 8, "Images in one pass.", lower_bound=1, flag_values=flag_values)
    flags.DEFINE_string("protocol", "bmvc2023", "How a field is defined, as in `erf`.", flag_values=flag_values)
    flags.DEFINE_string(
        "layers", "all", "Receptive fields of `all` layers, or of the `last` one: faster.", flag_values=flag_values
    )


def define_movie(flag_values: flags.FlagValues) -> None:
    """`movie`: the run whose observations are played, and how fast."""
    _define_workdir(flag_values)
    flags.DEFINE_string("out", None, "The .gif file; W/erf.gif by default.", flag_values=flag_values)
    flags.DEFINE_float(
        "fps", 4.0, "Pictures a second, up to 50.", lower_bound=0.1, upper_bound=50.0, flag_values=flag_values
    )


def define_convert(flag_values: flags.FlagValues) -> None:
    """`convert`: what goes where, in or out."""
    _define_model(flag_values)
    flags.DEFINE_string("to", None, "Whose names to write: `timm` or `hugging_face`.", flag_values=flag_values)
    flags.DEFINE_string("out", None, "The .safetensors file to write.", flag_values=flag_values)


def define_data(flag_values: flags.FlagValues) -> None:
    """`data`: what `prepare` reads and writes; `check` takes a config."""
    flags.DEFINE_string("from", None, "Folder of images, or of the ImageNet archives.", flag_values=flag_values)
    flags.DEFINE_string("name", None, "Name of the TFDS data set to write.", flag_values=flag_values)
    flags.DEFINE_string("data_dir", None, "The TFDS folder to write it to.", flag_values=flag_values)
    flags.DEFINE_integer(
        "size", None, "Shrink to this shorter side, in pixels.", lower_bound=1, flag_values=flag_values
    )
    flags.DEFINE_string(
        "labels", None, "Synsets of the ImageNet validation images, one a line.", flag_values=flag_values
    )


def _define_workdir(flag_values: flags.FlagValues) -> None:
    flags.DEFINE_string("workdir", None, "Folder of the run.", flag_values=flag_values)


def _define_model(flag_values: flags.FlagValues) -> None:
    """Declares the two ways to name a model; `assembly/named_model.py` reads them."""
    _define_workdir(flag_values)
    flags.DEFINE_string("model", None, "Name of a preset, instead of --workdir.", flag_values=flag_values)
    flags.DEFINE_bool("gaussian", False, "Add the Gaussian bias to the preset.", flag_values=flag_values)
    flags.DEFINE_string(
        "weights",
        None,
        "Weights of the preset: .safetensors in timm's or Hugging Face's names.",
        flag_values=flag_values,
    )
    flags.DEFINE_string("head", "file", "`file`: the head of the weights; `fresh`: a new one.", flag_values=flag_values)
    flags.DEFINE_string(
        "source_grid", None, "HEIGHT,WIDTH in patches of the weights' positions, if no square.", flag_values=flag_values
    )
