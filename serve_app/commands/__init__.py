"""The `sluice` command, a file each."""
