"""Generated colours: those of PASCAL VOC but for black, each class its own."""

from gauss_vit.palette import generated_palette


def test_the_colours_are_those_of_pascal_voc_after_black():
    # As published with the data set: aeroplane, bicycle, bird, boat, ..., sheep, sofa, train, tv/monitor, void.
    palette = generated_palette(255)
    assert palette[:4] == ((128, 0, 0), (0, 128, 0), (128, 128, 0), (0, 0, 128))
    assert palette[16:20] == ((128, 64, 0), (0, 192, 0), (128, 192, 0), (0, 64, 128))
    assert palette[254] == (224, 224, 192)


def test_every_class_has_a_colour_of_its_own_and_none_is_black():
    palette = generated_palette(255)
    assert len(set(palette)) == 255
    assert (0, 0, 0) not in palette


def test_a_colour_does_not_depend_on_the_number_of_classes():
    assert generated_palette(150)[:7] == generated_palette(7)
