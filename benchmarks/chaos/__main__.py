"""`python -m benchmarks.chaos`, which is `make chaos`."""

from benchmarks.chaos.cli import main

if __name__ == "__main__":
    main()
