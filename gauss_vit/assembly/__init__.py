"""What an experiment or a name becomes: batches, a named model, the parameters to start from."""
