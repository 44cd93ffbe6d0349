"""Live quality: labels summed by version and day, and what they say."""
