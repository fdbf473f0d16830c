"""Where the numbers and pictures of a run go besides its own files: TensorBoard, W&B, MLflow, trackio."""
