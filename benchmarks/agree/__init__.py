"""Is what a bundle serves what its fitted pipeline says? Many pipelines, random rows, no mercy."""
