"""Sluice: tabular models on Ray Serve, with new versions let in slowly and out again at once."""
