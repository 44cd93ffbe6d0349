"""Pure numbers: intervals, sequential test, PSI, bins, slices."""
