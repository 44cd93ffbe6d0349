"""One request's way inside a server: which version, its answer, and who hears of it."""
