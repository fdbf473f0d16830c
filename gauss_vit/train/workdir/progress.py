"""The progress line."""

_NOTABLE_WAIT = 0.05


def progress_line(
    step: int,
    num_steps: int,
    *,
    epoch: float | None = None,
    metrics: str,
    learning_rate: float,
    batch_size: int,
    steps_per_second: float,
    utilization: float | None = None,
    input_wait: float = 0.0,
) -> str:
    """Formats one line, such as `[500/9200] epoch 0.8 loss 1.23 top1 84.1 % lr 3.0e-04 | 812 images/s | 1m02s left`.

    Where the utilisation is known it follows the speed, as `812 images/s (MFU 41 %)`; so does a wait for input from a
    twentieth of the time on, as `812 images/s, input wait 23 %`.

    Args:
      step: Number of updates made.
      num_steps: Number of updates of the run.
      epoch: Number of epochs made; None if the number of examples is not known.
      metrics: Metrics of the interval, as the task describes them.
      learning_rate: Learning rate of the last update.
      batch_size: Number of images per step.
      steps_per_second: Speed; 0 where it is not known yet.
      utilization: Share of the devices' peak that the model's operations take; None where unknown.
      input_wait: Share of the time in which the devices waited for input.
    """
    speed = steps_per_second
    rest = "--" if speed == 0.0 else duration((num_steps - step) / speed)
    made = "" if epoch is None else f"epoch {epoch:.1f} "
    rate = f"{speed * batch_size:.0f} images/s"
    rate += "" if utilization is None else f" (MFU {100 * utilization:.0f} %)"
    rate += f", input wait {100 * input_wait:.0f} %" if input_wait >= _NOTABLE_WAIT else ""
    return f"[{step}/{num_steps}] {made}{metrics} lr {learning_rate:.1e} | {rate} | {rest} left"


def duration(seconds: float) -> str:
    """Formats a time span with its two largest units.

    >>> duration(62.4), duration(9.6), duration(7500.0)
    ('1m02s', '10s', '2h05m')
    """
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours}h{minutes:02d}m"
    return f"{minutes}m{rest:02d}s" if minutes else f"{rest}s"
