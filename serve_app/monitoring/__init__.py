"""What is known of a model after its answers: drift of its rows and scores, the prediction log."""
