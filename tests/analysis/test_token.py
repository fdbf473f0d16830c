"""Target tokens: the paper's table of central patches, and where a patch lies in the image."""

import pytest

from gauss_vit.analysis.token import all_tokens, center_token, check_token, parse_tokens, patch_box, patch_center
from gauss_vit.errors import ConfigError

# The grid, the flat index of its central token, its row and column, the image side and the pixel centre of that patch.
PAPER_TABLE = [
    (7, 24, (3, 3), 224, 111.5),
    (8, 27, (3, 3), 256, 111.5),
    (12, 65, (5, 5), None, None),
    (14, 90, (6, 6), 224, 103.5),
    (24, 275, (11, 11), 384, 183.5),
    (28, 377, (13, 13), 224, 107.5),
    (32, 495, (15, 15), 512, 247.5),
]


@pytest.mark.parametrize(("side", "index", "token", "image_side", "center_px"), PAPER_TABLE)
def test_center_token_is_that_of_the_papers_table(side, index, token, image_side, center_px):
    assert center_token((side, side)) == token
    assert token[0] * side + token[1] == index
    if image_side is not None:
        center = patch_center(token, grid=(side, side), image_size=(image_side, image_side))
        assert center == (center_px, center_px)


@pytest.mark.parametrize("side", range(1, 41))
def test_center_token_is_the_papers_formula_on_every_square_grid(side):
    num_tokens = side * side
    index = int(num_tokens / 2) - ((num_tokens + 1) % 2) * (int(side / 2) + 1)
    row, column = center_token((side, side))
    assert row * side + column == index


def test_center_token_treats_each_side_of_a_grid_by_itself():
    assert center_token((10, 14)) == (4, 6)
    assert center_token((14, 10)) == (6, 4)
    assert center_token((7, 10)) == (3, 4)
    assert center_token((1, 2)) == (0, 0)


def test_all_tokens_are_row_major():
    tokens = all_tokens((3, 5))
    assert [row * 5 + column for row, column in tokens] == list(range(15))


def test_token_text_means_center_all_or_one_patch():
    assert parse_tokens("center", (10, 14)) == ((4, 6),)
    assert parse_tokens("all", (2, 2)) == ((0, 0), (0, 1), (1, 0), (1, 1))
    assert parse_tokens(" 9 , 13 ", (10, 14)) == ((9, 13),)


@pytest.mark.parametrize("text", ["", "middle", "1", "1,2,3", "-1,0", "1;2", "Center"])
def test_other_text_is_refused_with_what_is_expected(text):
    with pytest.raises(ConfigError, match="expected a token as center, lower_center, all or row,column") as caught:
        parse_tokens(text, (14, 14))
    assert repr(text) in caught.value.message


@pytest.mark.parametrize("token", [(10, 0), (0, 14), (-1, 0)])
def test_a_token_outside_the_grid_is_refused(token):
    with pytest.raises(ConfigError, match="outside the grid of 10 x 14") as caught:
        check_token(token, (10, 14))
    assert "0..9" in caught.value.do


def test_boxes_of_all_tokens_tile_the_image():
    boxes = [patch_box(token, grid=(10, 14), image_size=(160, 112)) for token in all_tokens((10, 14))]
    assert sum(height * width for _, _, height, width in boxes) == 160 * 112
    assert boxes[0] == (0, 0, 16, 8)
    assert boxes[-1] == (144, 104, 16, 8)
