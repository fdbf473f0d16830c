"""Names of the parameters of a UPerNet's head, which transformers and MMSegmentation call alike but for two words."""

from gauss_vit.weights.names.naming import CHANNELS_LAST, Rule
from gauss_vit.weights.names.timm_names import normalization

_BLOCKS = {
    "decode_head.psp_modules.{index}.1": "head.pooling.{index}",
    "decode_head.bottleneck": "head.bottleneck",
    "decode_head.lateral_convs.{index}": "head.laterals.{index}",
    "decode_head.fpn_convs.{index}": "head.smoothing.{index}",
    "decode_head.fpn_bottleneck": "head.fusion",
    "auxiliary_head.convs.{index}": "head.auxiliary.convolutions.{index}",
}
_CLASSIFIERS = {"decode_head": "head.classifier", "auxiliary_head": "head.auxiliary.classifier"}


def head_rules(*, batch_norm: str, classifier: str) -> tuple[Rule, ...]:
    """Returns the names of the head and of its auxiliary head.

    The norms of the stages are the backbone's there.

    Args:
      batch_norm: Their name of the batch normalisation after a convolution.
      classifier: Their name of a classifier of pixels.
    """
    return (
        *(rule for theirs, ours in _BLOCKS.items() for rule in _block(theirs, ours, batch_norm=batch_norm)),
        *(rule for theirs, ours in _CLASSIFIERS.items() for rule in _classifier(f"{theirs}.{classifier}", ours)),
    )


def _block(theirs: str, ours: str, *, batch_norm: str) -> tuple[Rule, ...]:
    their_norm, our_norm = f"{theirs}.{batch_norm}", f"{ours}.batch_norm"
    return (
        Rule(theirs=f"{theirs}.conv.weight", ours=f"{ours}.convolution.kernel", transform=CHANNELS_LAST),
        *normalization(their_norm, our_norm),
        Rule(theirs=f"{their_norm}.running_mean", ours=f"{our_norm}.mean"),
        Rule(theirs=f"{their_norm}.running_var", ours=f"{our_norm}.variance"),
    )


def _classifier(theirs: str, ours: str) -> tuple[Rule, ...]:
    return (
        Rule(theirs=f"{theirs}.weight", ours=f"{ours}.kernel", transform=CHANNELS_LAST),
        Rule(theirs=f"{theirs}.bias", ours=f"{ours}.bias"),
    )
