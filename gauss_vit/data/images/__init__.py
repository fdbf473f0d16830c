"""Images on the host: decoding, resampling, transforms and augmentation."""
