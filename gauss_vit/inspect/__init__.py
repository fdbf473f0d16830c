"""A named model is looked at: features, attention, position bias, receptive field."""
