"""Whether a model is going bad: what came true, and how good it is now."""
