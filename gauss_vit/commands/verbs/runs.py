"""Verbs that make a run, use it, and plan it."""

from gauss_vit.command_line.flags import BEST, DISTRIBUTED, EMA, IMAGE_FILES, MODEL, RUN
from gauss_vit.command_line.verb import Flag, Verb

TRAIN = Verb(
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
EVALUATE = Verb(
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
PREDICT = Verb(
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
PROBE = Verb(
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
            lowest=1e-6,
            highest=1e12,
            help="L2 penalty on the weights of the linear classifier.",
        ),
        DISTRIBUTED,
    ),
)
PREFLIGHT = Verb(
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
SHOW = Verb(
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
STUDY = Verb(
    name="study",
    summary="compares arms over seeds: each an ordinary run; resumes",
    usage="--config=FILE [--config.KEY=VALUE ...] --workdir=DIR [--plan] [--run=INDEX] [--so_far]",
    module="gauss_vit.commands.study",
    config="required",
    flags=(
        Flag(name="workdir", value="DIR", help="Folder of the study.", required=True),
        Flag(name="plan", type=bool, default=False, help="List the runs with expected hours, and run nothing."),
        Flag(name="run", type=int, value="INDEX", lowest=0, help="Carry out this run alone, as a task of an array."),
        Flag(name="so_far", type=bool, default=False, help="Write the result of the finished runs, and run nothing."),
    ),
)
