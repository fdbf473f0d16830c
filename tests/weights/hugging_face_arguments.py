"""Small models of Hugging Face, by the arguments of their configs; nothing is imported, so that torch's side can."""

_VIT_ARGUMENTS = {
    "patch_size": 8,
    "hidden_size": 24,
    "num_hidden_layers": 3,
    "num_attention_heads": 2,
    "intermediate_size": 96,
    "num_labels": 5,
}
ARGUMENTS = {
    "vit": {"image_size": (32, 48), **_VIT_ARGUMENTS},
    "deit": {"image_size": 32, **_VIT_ARGUMENTS},
    "swin": {
        "image_size": 64,
        "embed_dim": 12,
        "depths": [2, 3, 1],
        "num_heads": [2, 3, 4],
        "window_size": 4,
        "num_labels": 5,
    },
}


def image_size(arguments):
    """The (height, width) of a model's images."""
    size = arguments["image_size"]
    return size if isinstance(size, tuple) else (size, size)
