"""Labels: what a prediction id carries, and what came true."""
