"""What a running Sluice loses when something breaks under steady load: a program with a report.

`python -m benchmarks.chaos`, which is `make chaos`; docs/reliability.md says how to read it.
"""
