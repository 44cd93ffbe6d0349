"""The Ray classes and what they talk through."""
