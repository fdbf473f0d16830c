"""Flags that several verbs have. Nothing heavy is imported."""

from gauss_vit.command_line.verb import Flag

WORKDIR = Flag(name="workdir", value="DIR", help="Folder of the run.")
DISTRIBUTED = Flag(
    name="distributed",
    value="auto|off|COORDINATOR,N,I",
    default="auto",
    help="Processes of the run: those that a TPU VM, GKE, Slurm or Open MPI has started; this one alone; or process I"
    " of N, from 0, with process 0 at COORDINATOR, such as 10.0.0.1:8476.",
)
RUN = Flag(name="workdir", value="DIR", help="Folder of the run.", required=True)
EMA = Flag(name="ema", type=bool, default=False, help="Use the moving average of the parameters.")
BEST = Flag(name="best", type=bool, default=False, help="Use the best checkpoint instead of the newest.")
OUT = Flag(name="out", value="DIR", help="Folder for the results.", required=True)
MAX_IMAGES = Flag(name="max_images", type=int, value="N", lowest=1, help="Number of images to use (all by default).")
PROTOCOL = Flag(
    name="protocol",
    default="bmvc2023",
    choices=("bmvc2023", "pre_norm", "random_projection", "replknet", "luo2016"),
    help="Definition of the receptive field.",
)
FORMAT = Flag(
    name="format",
    value="FORMATS",
    default="png,pdf",
    help="Formats of the figures, of png, pdf (with fonts that journals take) and svg.",
)
COMPARISON = (
    Flag(name="out", value="FILE", help="Path of the results, without a suffix.", required=True),
    Flag(
        name="metrics",
        value="NAMES",
        help="Metrics to draw over the steps of the runs in folders, such as eval/segm_AP,eval/bbox_AP.",
    ),
    FORMAT,
)
MODEL = (
    WORKDIR,
    BEST,
    EMA,
    Flag(
        name="model",
        value="MODEL",
        help="Model by timm's name, perhaps with a tag, instead of --workdir; listed by `gauss-vit models`.",
    ),
    Flag(name="gaussian", type=bool, default=False, help="Add the Gaussian attention bias to --model."),
    Flag(name="weights", value="FILE", help="Weights for --model: .safetensors with timm's or Hugging Face's names."),
    Flag(
        name="head",
        default="file",
        choices=("file", "fresh"),
        help="Classifier head of the --weights: from the file, or newly initialised.",
    ),
    Flag(
        name="source_grid",
        value="HEIGHT,WIDTH",
        help="Grid in patches of the positions in --weights, where it is not square.",
    ),
)

IMAGE_FILES = (
    Flag(name="skip_bad", type=bool, default=False, help="Leave out images that cannot be read, and count them."),
    Flag(
        name="max_pixels",
        type=int,
        value="N",
        lowest=1,
        highest=178_956_970,
        help="Number of pixels above which an image is refused; 50 million by default, or the run's data.max_pixels.",
    ),
)

PREPARATION = (
    Flag(
        name="crop",
        type=float,
        value="FRACTION",
        lowest=0.0,
        highest=1.0,
        help="Fraction of the resized image that the centre crop keeps; the model's own by default.",
    ),
    Flag(
        name="interpolation",
        choices=("bicubic", "bilinear"),
        help="Filter that resizes images; the model's own by default.",
    ),
    Flag(name="mean", value="R,G,B", help="Mean of the pixels, in 0 to 1; the model's own by default."),
    Flag(name="std", value="R,G,B", help="Standard deviation of the pixels; the model's own by default."),
)
"""How images are prepared, where that is not as the model's own."""

IMAGE_SIZE = Flag(
    name="image_size",
    value="SIZE",
    help="Image size in pixels, such as 384 or 256x320, with positions resampled; the model's own by default.",
)
