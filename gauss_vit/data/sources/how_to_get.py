"""The commands that download and prepare each known data set."""

from collections.abc import Mapping

from gauss_vit.data.config import FOLDER

TFDS = "tfds build {name} --data_dir={data_dir} --file_format=array_record"
MAY_NEED_TENSORFLOW = "pip install tensorflow    # only where the next command asks for it; reading never does"
IMAGENET = (
    "download ILSVRC2012_img_train.tar and ILSVRC2012_img_val.tar from image-net.org (with an account) into ARCHIVES",
    "gauss-vit data prepare --from=ARCHIVES --name={name} --data_dir={data_dir}",
)
RECIPES: Mapping[str, tuple[str, ...]] = {
    FOLDER: (
        "put the images into {data_dir}/CLASS/*.jpg, or {data_dir}/train/CLASS/*.jpg and {data_dir}/val/CLASS/*.jpg",
        "a folder elsewhere: add --config.data.data_dir=FOLDER",
        "one folder of classes, to be split at random: add --config.data.split_protocol=paper",
    ),
    "imagenet2012": IMAGENET,
    "imagenet2012_real": (
        "download ILSVRC2012_img_val.tar from image-net.org into {data_dir}/downloads/manual",
        MAY_NEED_TENSORFLOW,
        TFDS,
    ),
    "cars196": (
        "its download is gone: get cars_train.tgz, cars_test.tgz, car_devkit.tgz and cars_test_annos_withlabels.mat "
        "from another copy, genuine ones, into ARCHIVES",
        TFDS + " --manual_dir=ARCHIVES",
        "or, with the images in CARS/CLASS/*.jpg, read them as they are, split as in the paper: "
        "--config.data.name=folder --config.data.data_dir=CARS --config.data.split_protocol=paper",
    ),
    "digits": ("pip install 'gauss_vit[digits]'    # they come with scikit-learn",),
}
DEFAULT = (
    MAY_NEED_TENSORFLOW,
    TFDS,
    "or from a folder: gauss-vit data prepare --from=FOLDER --name={name} --data_dir={data_dir}",
)


def steps(name: str, data_dir: str) -> tuple[str, ...]:
    """Lists the steps to get a data set, one command or sentence a line.

    >>> steps("stanford_dogs", "D")[1]
    'tfds build stanford_dogs --data_dir=D --file_format=array_record'

    Args:
      name: value of `data.name`.
      data_dir: value of `data.data_dir`.
    """
    base = name.partition(":")[0].partition("/")[0]
    lines = {base: DEFAULT, **RECIPES}[base]
    return tuple(line.format(name=name, data_dir=data_dir) for line in lines)
