"""One file a model: how its rows are made or read, and its pipeline.

The registry is `serve_app.models`.
"""
