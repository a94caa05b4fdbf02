"""Training: from a recipe to a checkpoint. `experiment.run` is where it starts."""
