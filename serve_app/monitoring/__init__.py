"""What is known of a model after its answers: the prediction log."""
