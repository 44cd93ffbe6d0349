"""What a model's users would notice later: drift of its rows and scores against training."""
