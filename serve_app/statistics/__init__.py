"""Pure numbers: intervals, sequential test, PSI, bins, slices, disagreement of two versions."""
