"""Bundles: the immutable folder of a version, verified, opened and proven before it serves."""
