"""`position`: what a model knows of positions, and what its attention makes of it on images."""

from gauss_vit.analysis.embedding import analyse_embedding
from gauss_vit.assembly.image_choices import as_asked
from gauss_vit.assembly.named_model import named_model
from gauss_vit.command_line.console import say
from gauss_vit.command_line.invocation import Invocation
from gauss_vit.data.images.image import open_images
from gauss_vit.inspect.attention import read_attention
from gauss_vit.inspect.photos import readable
from gauss_vit.inspect.position import position_embedding, without_table
from gauss_vit.inspect.position_results import (
    analyse_biases,
    one_token,
    row_tokens,
    write_attention,
    write_biases,
    write_embedding,
)
from gauss_vit.inspect.result_files import parse_formats
from gauss_vit.waiting import announced


def run(invocation: Invocation) -> None:
    """Writes arrays (npz), numbers (json) and figures of a model's position information to `--out`.

    NAME_position.* are its position biases, for every stage of the model; NAME_embedding.* its absolute embedding; and
    with `--images` NAME_attention.* how far its attention looks on them.

    Raises:
      ConfigError: a flag is wrong or missing, or the model has no position information.
      DataError: there are no images, or one is damaged.
      CheckpointError: no checkpoint verifies.
      StorageError: the results cannot be written.
    """
    out, text = invocation.path("out"), invocation.text("token")
    formats = parse_formats(invocation.text("format"))
    paths = open_images(invocation.path("images")) if invocation.is_given("images") else ()
    named = as_asked(named_model(invocation), invocation)
    paths = paths[: invocation.integer("max_images")]
    if paths and invocation.switch("skip_bad"):
        paths = readable(named, paths)
    grid = named.config.grid
    embedding, undrawn = position_embedding(named.params), without_table(named.config.position)
    if named.config.has_position_bias or (embedding is None and not paths):
        for result in analyse_biases(named, token=text):
            shown = row_tokens(invocation.text("rows"), result.analysis.grid, center=result.analysis.token)
            say(write_biases(out, named, result, rows=shown, formats=formats))
    if undrawn:
        say(f"no table shows {undrawn}: attention on images does, --images=DIR")
    if embedding is not None:
        similarities = analyse_embedding(embedding, grid=grid, token=one_token(text, grid))
        say(write_embedding(out / f"{named.name}_embedding", named, similarities, formats=formats))
    if paths:
        with announced("reading attention"):
            attention = read_attention(named, paths, token=one_token(text, grid))
        say(write_attention(out / f"{named.name}_attention", named, attention, formats=formats))
