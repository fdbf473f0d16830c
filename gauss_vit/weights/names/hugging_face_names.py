"""Hugging Face's parameter names, as `save_pretrained` writes them: ViT, DeiT and Swin with a classifier, and UPerNet.

Query, key and value are separate tensors there and one kernel here. DeiT without a distillation
token is published with ViT's names.
"""

from gauss_vit.models.backbone import BackboneConfig
from gauss_vit.models.swin import SwinConfig
from gauss_vit.models.vit import ViTConfig
from gauss_vit.weights.names.naming import SAME, TRANSPOSED, Rule
from gauss_vit.weights.names.timm_names import BATCH_OF_ONE, dense, normalization, offset_table, patch_embedding
from gauss_vit.weights.names.upernet_names import head_rules


def usual_epsilon(config: BackboneConfig) -> float:
    """Returns the LayerNorm epsilon of their model where no config.json states one: 1e-5 for Swin, else 1e-12."""
    return 1e-5 if isinstance(config, SwinConfig) else 1e-12


def vit_rules(config: ViTConfig) -> tuple[Rule, ...]:
    """Returns the names of `ViTForImageClassification`; with a distillation token, of a DeiT.

    With a `DistilledHead` that is `DeiTForImageClassificationWithTeacher`, otherwise `DeiTForImageClassification`.
    """
    root = "deit" if config.distillation_token else "vit"
    return (
        *patch_embedding(f"{root}.embeddings.patch_embeddings.projection", config.patch_size),
        Rule(theirs=f"{root}.embeddings.cls_token", ours="backbone.class_token"),
        Rule(theirs=f"{root}.embeddings.distillation_token", ours="backbone.distillation_token"),
        Rule(theirs=f"{root}.embeddings.position_embeddings", ours="backbone.position_embed", transform=BATCH_OF_ONE),
        *_block(f"{root}.encoder.layer.{{layer}}", "backbone.blocks", attention="attention"),
        *normalization(f"{root}.layernorm", "backbone.norm"),
        *dense("classifier", "head.linear"),
        *dense("cls_classifier", "head.class_linear"),
        *dense("distillation_classifier", "head.distillation_linear"),
    )


def swin_rules(config: SwinConfig) -> tuple[Rule, ...]:
    """Returns the names of `SwinForImageClassification`."""
    return (
        *_swin_stages("swin", config),
        *normalization("swin.layernorm", "backbone.norm"),
        *dense("classifier", "head.linear"),
    )


def upernet_rules(config: SwinConfig) -> tuple[Rule, ...]:
    """Returns the names of `UperNetForSemanticSegmentation` on a Swin, whose norms of the stages are its own."""
    norms, last = "backbone.hidden_states_norms.stage", len(config.depths)
    return (
        *_swin_stages("backbone", config),
        *(
            rule
            for number in range(1, last)
            for rule in normalization(f"{norms}{number}", f"head.pyramid.norms.{number - 1}")
        ),
        *normalization(f"{norms}{last}", "backbone.norm"),
        *head_rules(batch_norm="batch_norm", classifier="classifier"),
    )


def _swin_stages(root: str, config: SwinConfig) -> tuple[Rule, ...]:
    """Returns the names of a Swin without its last norm; stages merge patches at their end, not their start."""
    return (
        *patch_embedding(f"{root}.embeddings.patch_embeddings.projection", config.patch_size),
        *normalization(f"{root}.embeddings.norm", "backbone.patch_norm"),
        *(rule for index in range(len(config.depths)) for rule in _stage(root, config, index)),
    )


def _stage(root: str, config: SwinConfig, index: int) -> tuple[Rule, ...]:
    theirs, ours = f"{root}.encoder.layers.{index}.blocks.{{layer}}", f"backbone.stages.{index}.blocks"
    merging = f"{root}.encoder.layers.{index - 1}.downsample"
    return (
        *normalization(f"{merging}.norm", f"backbone.stages.{index}.merging.norm"),
        *dense(f"{merging}.reduction", f"backbone.stages.{index}.merging.reduction"),
        *_block(theirs, ours, attention="self"),
        Rule(
            theirs=f"{theirs}.attention.self.relative_position_bias_table",
            ours=f"{ours}.attention.bias.relative.table",
            transform=offset_table(config.stage(index).block.attention.grid),
        ),
    )


def _block(theirs: str, ours: str, *, attention: str) -> tuple[Rule, ...]:
    """Returns the names of a block; `attention` is their name of the module with query, key and value."""
    return (
        *normalization(f"{theirs}.layernorm_before", f"{ours}.norm1"),
        *normalization(f"{theirs}.layernorm_after", f"{ours}.norm2"),
        *(
            Rule(
                theirs=f"{theirs}.attention.{attention}.{name}.{their_leaf}",
                ours=f"{ours}.attention.query_key_value.{our_leaf}",
                transform=transform,
                part=(index, 3),
            )
            for index, name in enumerate(("query", "key", "value"))
            for their_leaf, our_leaf, transform in (("weight", "kernel", TRANSPOSED), ("bias", "bias", SAME))
        ),
        *dense(f"{theirs}.attention.output.dense", f"{ours}.attention.projection"),
        *dense(f"{theirs}.intermediate.dense", f"{ours}.mlp.fc1"),
        *dense(f"{theirs}.output.dense", f"{ours}.mlp.fc2"),
    )
