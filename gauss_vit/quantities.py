"""Numbers of things, in words."""


def counted(number: int, singular: str, plural: str = "") -> str:
    """The number and what there is of it.

    Args:
      number: how many.
      singular: what one of them is called.
      plural: what others are called; with an s by default.

    >>> counted(1, "image"), counted(0, "image"), counted(12000, "image"), counted(2, "class", "classes")
    ('1 image', '0 images', '12,000 images', '2 classes')
    """
    return f"{number:,} {singular if number == 1 else plural or f'{singular}s'}"
