"""tf.data in its own interpreter: `benchmarks.input` starts it, and asks for one pass over the photos a line.

It answers every line `antialiased` or `plain` with the seconds of a pass, as JSON: by the clock and of the processor;
and `versions` with its own.
Both decode only the crop (`decode_and_crop_jpeg`) and flip at random; `antialiased` resizes as torchvision does
(bicubic, antialiased), `plain` as TensorFlow's own recipes do (bilinear, without). It needs tensorflow.
"""

import json
import os
import sys
import time
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import tensorflow as tf

SIZE = (224, 224)
KINDS = {"antialiased": ("bicubic", True), "plain": ("bilinear", False)}


def crop_box(encoded: tf.Tensor) -> tf.Tensor:
    """Draws (top, left, height, width) with the area and the proportions of torchvision's RandomResizedCrop."""
    begin, size, _ = tf.image.sample_distorted_bounding_box(
        tf.image.extract_jpeg_shape(encoded),
        tf.zeros((1, 0, 4)),
        min_object_covered=0.0,
        aspect_ratio_range=(3 / 4, 4 / 3),
        area_range=(0.08, 1.0),
        max_attempts=10,
        use_image_if_no_bounding_boxes=True,
    )
    return tf.concat([begin[:2], size[:2]], axis=0)


def batches(encoded: list[bytes], *, method: str, antialias: bool) -> tf.data.Dataset:
    """One pass over the photos in one batch, on one thread."""

    def image(file: tf.Tensor) -> tf.Tensor:
        cropped = tf.image.decode_and_crop_jpeg(file, crop_box(file), channels=3, dct_method="INTEGER_ACCURATE")
        resized = tf.image.resize(cropped, SIZE, method=method, antialias=antialias)
        return tf.cast(tf.clip_by_value(tf.image.random_flip_left_right(resized), 0.0, 255.0), tf.uint8)

    options = tf.data.Options()
    options.threading.private_threadpool_size = 1
    options.threading.max_intra_op_parallelism = 1
    options.autotune.enabled = False
    return tf.data.Dataset.from_tensor_slices(encoded).map(image).batch(len(encoded)).with_options(options)


def run(photos: tf.data.Dataset) -> None:
    """Makes one pass."""
    for batch in photos.as_numpy_iterator():
        assert batch.shape[1:] == (*SIZE, 3)


def timed(photos: tf.data.Dataset) -> dict[str, float]:
    """Times a pass."""
    run(photos)  # Not counted: wakes memory that was idle while others had their turn.
    begin, begin_cpu = time.perf_counter(), time.process_time()
    run(photos)
    return {"wall": time.perf_counter() - begin, "cpu": time.process_time() - begin_cpu}


def main() -> None:
    """Serves measurements until its input ends."""
    encoded = [path.read_bytes() for path in sorted(Path(sys.argv[1]).iterdir())]
    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    passes = {kind: batches(encoded, method=method, antialias=antialias) for kind, (method, antialias) in KINDS.items()}
    for line in sys.stdin:
        kind = line.strip()
        answer = {"tensorflow": tf.__version__} if kind == "versions" else timed(passes[kind])
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
