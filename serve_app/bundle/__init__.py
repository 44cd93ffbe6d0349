"""Bundles: the immutable folder of a version, verified before it is opened and proven before it serves."""
