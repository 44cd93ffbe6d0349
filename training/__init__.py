"""Offline training: rows in, a proven bundle out. Serving never imports this package."""
