"""What metrics are called in words, and in which units they are shown."""

from gauss_vit.metrics.coco import NAMES, TITLES

_OF_COCO = {
    f"{kind}_{name}": f"{title.capitalize()} {name.replace('_', ' ')}"
    for kind, title in TITLES.items()
    for name in NAMES
}
_SHARES = {
    "top1": "Accuracy",
    "top5": "Accuracy of the first five",
    "miou": "Mean IoU",
    "macc": "Mean accuracy of classes",
    "aacc": "Accuracy of pixels",
    **_OF_COCO,
}
_OTHERS = {"learning_rate": "Learning rate", "erf/half_mass_radius": "Receptive field"}
_UNITS = {"erf/half_mass_radius": "half of the mass within, pixels"}


def title_of(key: str) -> str:
    """Names a metric in words.

    >>> title_of("segm_AP50"), title_of("bbox_AR_small"), title_of("mean_iou")
    ('Mask AP50', 'Box AR small', 'Mean iou')
    """
    return (_SHARES | _OTHERS).get(key, key.replace("_", " ").capitalize())


def unit_of(key: str) -> str:
    """Returns the unit that a metric is shown in; empty if it has none."""
    return "%" if key in _SHARES else _UNITS.get(key, "")


def scale_of(key: str) -> int:
    """Returns what a metric is multiplied by to be shown in its unit."""
    return 100 if key in _SHARES else 1
