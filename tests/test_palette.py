"""Generated colours: those of PASCAL VOC, each of 256 indices its own."""

from gauss_vit.palette import generated_palette


def test_the_first_colours_are_those_of_pascal_voc():
    # As published with the data set: background, aeroplane, ..., potted plant, sheep, sofa, train, tv/monitor.
    palette = generated_palette(21)
    assert palette[:5] == ((0, 0, 0), (128, 0, 0), (0, 128, 0), (128, 128, 0), (0, 0, 128))
    assert palette[-5:] == ((0, 64, 0), (128, 64, 0), (0, 192, 0), (128, 192, 0), (0, 64, 128))


def test_the_colour_of_ignored_pixels_is_that_of_pascal_voc():
    assert generated_palette(256)[255] == (224, 224, 192)


def test_every_class_has_a_colour_of_its_own():
    assert len(set(generated_palette(256))) == 256


def test_a_colour_does_not_depend_on_the_number_of_classes():
    assert generated_palette(150)[:7] == generated_palette(7)
