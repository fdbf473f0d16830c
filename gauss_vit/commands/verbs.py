"""The table of verbs and their flags. Help, completion and parsing are made from it; nothing heavy is imported."""

from types import MappingProxyType

from gauss_vit.command_line.flags import (
    BEST,
    COMPARISON,
    DISTRIBUTED,
    EMA,
    FORMAT,
    IMAGE_FILES,
    MAX_IMAGES,
    MODEL,
    OUT,
    PROTOCOL,
    RUN,
    WORKDIR,
)
from gauss_vit.command_line.verb import Flag, Verb, Verbs

_TRAIN = Verb(
    name="train",
    summary="trains a model; the same command resumes",
    usage="--config=FILE [--config.KEY=VALUE ...] (--workdir=DIR | --smoke)",
    module="gauss_vit.commands.train",
    is_shared=True,
    config="required",
    flags=(
        Flag(name="workdir", value="DIR", help="Folder of the run.", required=True, waived_by="smoke"),
        Flag(
            name="smoke",
            type=bool,
            default=False,
            help="Try the config: two steps on few images, an evaluation, a save and a picture, in a temporary folder.",
        ),
        Flag(
            name="resume",
            default="same",
            choices=("same", "override"),
            help="Whether a run in the folder continues with the same config only, or also with one that changes what"
            " it learns (`override`), which is logged and recorded.",
        ),
        Flag(
            name="track",
            value="SERVICES",
            help="Send numbers and pictures to `wandb`, `mlflow` or `trackio` as well, such as mlflow:PROJECT,wandb.",
        ),
        Flag(
            name="trace",
            value="FIRST:LAST[:all]",
            help="Profile these steps, at most 50, for xprof and TensorBoard; `all` profiles all processes.",
        ),
        DISTRIBUTED,
    ),
)
_EVALUATE = Verb(
    name="evaluate",
    summary="evaluates the newest checkpoint, or the best one",
    usage="--workdir=DIR [--best] [--ema] [--subset=imagenet_a]",
    module="gauss_vit.commands.evaluate",
    is_shared=True,
    config="optional",
    flags=(
        RUN,
        EMA,
        BEST,
        Flag(
            name="subset",
            value="NAME",
            help="Choose only among the 200 classes of `imagenet_a` or `imagenet_r`.",
        ),
        Flag(
            name="image_sizes",
            value="SIZES",
            help="Image sizes in pixels to evaluate at, such as 192,224,256x320.",
        ),
        Flag(
            name="crop",
            type=float,
            value="FRACTION",
            lowest=0.0,
            highest=1.0,
            help="Fraction of the resized image that the centre crop keeps; the config's by default.",
        ),
        DISTRIBUTED,
    ),
)
_PREDICT = Verb(
    name="predict",
    summary="predicts the classes of images in files, folders, subfolders",
    usage="(--workdir=DIR | --model=MODEL[.TAG] --weights=FILE) IMAGES ... [--topk=5] [--json|--csv]",
    module="gauss_vit.commands.predict",
    config="optional",
    takes_arguments=True,
    flags=(
        *MODEL,
        Flag(
            name="topk", type=int, value="N", default=5, lowest=1, help="Number of classes or objects for each image."
        ),
        Flag(
            name="out",
            value="DIR",
            help="Folder for overlays, index masks and coco_results.json, where the task predicts places or objects.",
        ),
        Flag(name="json", type=bool, default=False, help="Write a JSON object for each image, one per line."),
        Flag(name="csv", type=bool, default=False, help="Write a CSV row for each class or object."),
        Flag(name="batch_size", type=int, value="N", default=32, lowest=1, help="Largest number of images in a batch."),
        *IMAGE_FILES,
        DISTRIBUTED,
    ),
)
_PROBE = Verb(
    name="probe",
    summary="evaluates frozen features by a k-NN and a linear classifier",
    usage="--workdir=DIR [--best] [--ema] [--shots=10]",
    module="gauss_vit.commands.probe",
    config="optional",
    flags=(
        RUN,
        EMA,
        BEST,
        Flag(name="neighbours", type=int, value="N", default=20, lowest=1, help="Number of neighbours that vote."),
        Flag(
            name="shots",
            type=int,
            value="N",
            default=10,
            lowest=1,
            help="Labelled examples per class for the linear classifier.",
        ),
        Flag(
            name="penalty",
            type=float,
            value="WEIGHT",
            default=1024.0,
            lowest=0.0,
            help="L2 penalty on the weights of the linear classifier.",
        ),
        DISTRIBUTED,
    ),
)
_ERF = Verb(
    name="erf",
    summary="measures the effective receptive field",
    usage="(--workdir=DIR | --model=MODEL [--weights=FILE]) --images=DIR --out=DIR",
    module="gauss_vit.commands.erf",
    config="optional",
    flags=(
        *MODEL,
        Flag(name="images", value="DIR", help="Folder of images.", required=True),
        OUT,
        FORMAT,
        MAX_IMAGES,
        Flag(name="batch_size", type=int, value="N", default=64, lowest=1, help="Largest number of images in a batch."),
        Flag(
            name="token",
            value="TOKEN",
            default="center",
            help="Token whose field is measured: `center`, `lower_center` (lower right of an even grid), `all` or"
            " `row,column` from 0, in patches or in places of the decoder's map.",
        ),
        Flag(
            name="layer",
            value="LAYER",
            default="last",
            help="Layer: `last`, `all`, the number of blocks that the field goes through, from 1 to the depth,"
            " `decoder`, the map that a segmentation head classifies, or a level of a detector's pyramid, such as `p3`,"
            " whose places are 2^3 pixels apart.",
        ),
        Flag(
            name="box",
            type=int,
            value="K",
            lowest=0,
            help="Box whose score is measured, from 0, the best one that a detector finds in a single image.",
        ),
        PROTOCOL,
        Flag(
            name="dtype",
            default="float32",
            choices=("float32", "bfloat16", "auto"),
            help="Type of the activations. bfloat16 is less exact, and faster on TPUs, GPUs since Ampere and CPUs with "
            "AMX alone; auto takes it only there.",
        ),
        Flag(
            name="fit",
            default="free",
            choices=("free", "bounded"),
            help="Gaussian fit: without bounds, as in the paper, or with OpenERF's bounds.",
        ),
        Flag(
            name="intervention",
            value="NAMES",
            default="none",
            help="What is done to the position information first: `none`, `reinit`, `paper_code`, `zero` or "
            "`without_gaussian`; several are separated by commas.",
        ),
        Flag(name="seed", type=int, value="N", default=0, lowest=0, help="Seed of what an intervention draws."),
        *IMAGE_FILES,
        Flag(name="bands", type=bool, default=True, help="Draw no confidence bands over images."),
        Flag(
            name="save_every",
            type=int,
            value="N",
            default=2,
            lowest=1,
            help="Number of batches after which partial results are saved; an interrupted run continues from there.",
        ),
        DISTRIBUTED,
    ),
)
_COMPARE = Verb(
    name="compare",
    summary="compares receptive fields of several models, or metrics over the steps of runs",
    usage="(A.npz B.npz ... | DIR ... --metrics=NAMES) --out=FILE",
    module="gauss_vit.commands.compare",
    takes_arguments=True,
    flags=COMPARISON,
)
_POSITION = Verb(
    name="position",
    summary="draws and fits the position bias of every layer",
    usage="(--workdir=DIR | --model=MODEL [--weights=FILE]) --out=DIR [--images=DIR]",
    module="gauss_vit.commands.position",
    config="optional",
    flags=(
        *MODEL,
        OUT,
        FORMAT,
        Flag(
            name="token",
            value="TOKEN",
            default="center",
            help="Query token of the pictures: `center` or `row,column` in patches from 0.",
        ),
        Flag(name="images", value="DIR", help="Folder of images, to measure attention distances on."),
        MAX_IMAGES,
        *IMAGE_FILES,
        DISTRIBUTED,
    ),
)
_REPORT = Verb(
    name="report",
    summary="writes a page to explore receptive fields, biases and attention",
    usage="(--workdir=DIR | --model=MODEL [--weights=FILE]) [--images=DIR] --out=FILE.html",
    module="gauss_vit.commands.report",
    config="optional",
    flags=(
        *MODEL,
        Flag(name="images", value="DIR", help="Folder of images; a run uses its evaluation images by default."),
        Flag(name="out", value="FILE", default="report.html", help="The .html file to write."),
        Flag(
            name="max_images",
            type=int,
            value="N",
            lowest=1,
            help="Number of images to average receptive fields over (all by default).",
        ),
        *IMAGE_FILES,
        Flag(name="show_images", type=int, value="N", default=8, lowest=1, help="Number of images on the page."),
        Flag(name="batch_size", type=int, value="N", default=8, lowest=1, help="Number of images in a batch."),
        PROTOCOL,
        Flag(
            name="layers",
            default="all",
            choices=("all", "last", "decoder"),
            help="Layers whose receptive fields are measured: the last one alone is faster, and the decoder of a"
            " segmentation, in place of it, slower.",
        ),
        DISTRIBUTED,
    ),
)
_MOVIE = Verb(
    name="movie",
    summary="animates the receptive field over the steps of a run",
    usage="WORKDIR [--out=FILE.gif] [--fps=4]",
    module="gauss_vit.commands.movie",
    takes_arguments=True,
    flags=(
        WORKDIR,
        Flag(name="out", value="FILE", help="The .gif file to write (WORKDIR/erf.gif by default)."),
        Flag(name="fps", type=float, value="RATE", default=4.0, lowest=0.1, highest=50.0, help="Frames per second."),
    ),
)
_CONVERT = Verb(
    name="convert",
    summary="exports to timm, Hugging Face or StableHLO; imports weights",
    usage="(--workdir=DIR --to=timm --out=DIR | --weights=FILE --model=MODEL --workdir=DIR)",
    module="gauss_vit.commands.convert",
    config="optional",
    flags=(
        *MODEL,
        Flag(
            name="to", value="LIBRARY", help="Format to write: `timm`, `hugging_face`, `mmseg`, `mmdet` or `stablehlo`."
        ),
        Flag(
            name="out",
            value="DIR",
            help="Folder for the weights with their config.json, or the .safetensors or StableHLO file to write.",
        ),
        Flag(
            name="platforms",
            value="NAMES",
            default="cpu,cuda,tpu",
            help="Platforms that a StableHLO program can run on, separated by commas.",
        ),
    ),
)
_DATA = Verb(
    name="data",
    summary="checks a data set, or packs images for fast reading",
    usage="(check --config=FILE [--deep] | prepare --from=DIR --name=NAME --data_dir=DIR)",
    module="gauss_vit.commands.data",
    config="optional",
    takes_arguments=True,
    flags=(
        Flag(name="from", value="DIR", help="Folder of images, or of the ImageNet archives."),
        Flag(name="name", value="NAME", help="Name of the TFDS data set to write; drawn_shapes draws objects instead."),
        Flag(name="data_dir", value="DIR", help="TFDS folder to write the data set to."),
        Flag(name="seed", type=int, value="N", lowest=0, help="Seed of drawn_shapes (0 by default)."),
        Flag(name="size", type=int, value="PIXELS", lowest=1, help="Pixels that shorter sides are reduced to."),
        Flag(
            name="deep",
            type=bool,
            default=False,
            help="Read and decode every image, and print a hash of their bytes and labels.",
        ),
        Flag(name="labels", value="FILE", help="File with the synset of each ImageNet validation image, one per line."),
    ),
)
_PREFLIGHT = Verb(
    name="preflight",
    summary="checks all hosts of a run: config, data, workdir, a step",
    usage="--config=FILE [--config.KEY=VALUE ...] --workdir=DIR",
    module="gauss_vit.commands.preflight",
    is_shared=True,
    config="required",
    flags=(
        RUN,
        Flag(
            name="limit",
            type=float,
            value="SECONDS",
            default=45.0,
            lowest=1.0,
            highest=3600.0,
            help="Longest time to wait for a host that does not come, or does not answer.",
        ),
        DISTRIBUTED,
    ),
)
_SHOW = Verb(
    name="show",
    summary="shows parameters, shardings, FLOPs, memory; runs nothing",
    usage="--config=FILE [--config.KEY=VALUE ...] [--mesh=8|data=64,fsdp=4]",
    module="gauss_vit.commands.show",
    config="required",
    flags=(
        Flag(
            name="mesh",
            value="N|AXIS=N,...",
            help="Devices to plan for, which need not exist (those present by default): their number, or sizes of the"
            " axes slices, data, fsdp and tensor.",
        ),
    ),
)
_MODELS = Verb(
    name="models",
    summary="lists the models that --model can name, by timm's names",
    usage="[PATTERN ...] [--names|--tags]",
    module="gauss_vit.commands.models",
    takes_arguments=True,
    flags=(
        Flag(name="names", type=bool, default=False, help="Print names only."),
        Flag(name="tags", type=bool, default=False, help="Print names with timm's tags of weights, the default first."),
    ),
)

VERBS: Verbs = MappingProxyType(
    {
        verb.name: verb
        for verb in (
            _TRAIN,
            _EVALUATE,
            _PREDICT,
            _PROBE,
            _ERF,
            _COMPARE,
            _POSITION,
            _REPORT,
            _MOVIE,
            _CONVERT,
            _DATA,
            _PREFLIGHT,
            _SHOW,
            _MODELS,
        )
    }
)
"""Every verb; the first is run where a command line begins with a flag."""
