"""Verbs for what a run needs and leaves: weights, data and models by name."""

from gauss_vit.command_line.flags import MODEL
from gauss_vit.command_line.verb import Flag, Verb

CONVERT = Verb(
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
            name="unbake",
            type=bool,
            default=False,
            help="Split the relative tables of --weights into a Gaussian and a rest: the Gaussian that was baked, if"
            " the file says so, and otherwise a fitted one.",
        ),
        Flag(
            name="platforms",
            value="NAMES",
            default="cpu,cuda,tpu",
            help="Platforms that a StableHLO program can run on, separated by commas.",
        ),
    ),
)
DATA = Verb(
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
        Flag(
            name="max_pixels",
            type=int,
            value="N",
            lowest=1,
            highest=178_956_970,
            help="Number of pixels above which prepare --size refuses an image; 50 million by default.",
        ),
        Flag(name="follow_links", type=bool, default=False, help="Let links lead prepare out of the --from folder."),
    ),
)
MODELS = Verb(
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
