"""What a model is trained for: its loss, its prediction, its metric."""
