"""The one way in which shares are written as text."""


def percent(share: float) -> str:
    """Formats a share in 0..1 as a percentage.

    >>> percent(0.98333)
    '98.3 %'
    """
    return f"{100 * share:.1f} %"
