"""Verbs that look at a model: its receptive fields, position biases and attention."""

from gauss_vit.command_line.flags import (
    COMPARISON,
    DISTRIBUTED,
    FORMAT,
    IMAGE_FILES,
    IMAGE_SIZE,
    MAX_IMAGES,
    MODEL,
    OUT,
    PREPARATION,
    PROTOCOL,
    WORKDIR,
)
from gauss_vit.command_line.verb import Flag, Verb

ERF = Verb(
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
        Flag(
            name="image_sizes",
            value="SIZES",
            help="Image sizes in pixels to measure at, such as 224,384,256x320, with positions resampled; several are"
            " compared in one figure.",
        ),
        *PREPARATION,
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
COMPARE = Verb(
    name="compare",
    summary="compares receptive fields, or metrics over the steps of runs",
    usage="(A.npz B.npz ... | DIR ... --metrics=NAMES) --out=FILE",
    module="gauss_vit.commands.compare",
    takes_arguments=True,
    flags=COMPARISON,
)
POSITION = Verb(
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
        Flag(
            name="rows",
            value="PATCHES",
            default="0,1,center,last",
            help="Patches whose rows of the first layer are drawn, by their numbers from 0, row by row; `center` is"
            " --token. The paper's figure 5 has 0,1,2,last.",
        ),
        IMAGE_SIZE,
        Flag(name="images", value="DIR", help="Folder of images, to measure attention distances on."),
        MAX_IMAGES,
        *PREPARATION,
        *IMAGE_FILES,
        DISTRIBUTED,
    ),
)
REPORT = Verb(
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
        IMAGE_SIZE,
        *PREPARATION,
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
MOVIE = Verb(
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
TABLE = Verb(
    name="table",
    summary="computes a table of the paper for models and runs at hand",
    usage="(1|2|3|4|s1|s2|s3|s4) (WORKDIR | MODEL[=FILE]) ... [--images=DIR] [--out=FILE]",
    module="gauss_vit.commands.table",
    config="optional",
    takes_arguments=True,
    flags=(
        *MODEL,
        Flag(
            name="variant",
            default="text",
            choices=("text", "code"),
            help="What is computed where the paper's code differs from its text: `code` fits position biases with"
            " dropout on (table 1), and keeps the signs of learned amplitudes (table s3).",
        ),
        Flag(name="seed", type=int, value="N", default=0, lowest=0, help="Seed of the dropout of --variant=code."),
        Flag(
            name="images",
            value="DIR",
            help="Folder of images, for receptive fields; where its folders are named after classes, for accuracies as"
            " well (table s1).",
        ),
        MAX_IMAGES,
        Flag(name="batch_size", type=int, value="N", default=64, lowest=1, help="Largest number of images in a batch."),
        PROTOCOL,
        Flag(name="out", value="FILE", help="Path of the results, without a suffix: CSV, JSON and Markdown."),
        IMAGE_SIZE,
        *PREPARATION,
        *IMAGE_FILES,
        DISTRIBUTED,
    ),
)
