"""MMSegmentation's parameter names for UPerNet on Swin."""

from gauss_vit.models.swin import SwinConfig
from gauss_vit.weights.names.naming import Rule
from gauss_vit.weights.names.openmmlab_swin_names import swin_rules
from gauss_vit.weights.names.upernet_names import head_rules


def upernet_rules(config: SwinConfig) -> tuple[Rule, ...]:
    """Returns the names of an `EncoderDecoder` of `SwinTransformer`, `UPerHead` and `FCNHead`."""
    return *swin_rules(config), *head_rules(batch_norm="bn", classifier="conv_seg")
