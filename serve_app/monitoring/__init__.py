"""What is known of a model after its answers: drift, what came true, and the prediction log."""
