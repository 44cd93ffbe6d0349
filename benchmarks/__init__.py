"""Sluice next to what else serves the same model, in one run on one machine: programs, not tests.

`python -m benchmarks run | ramp | beside | heavy`; docs/performance.md says how to read what they
report.
"""
