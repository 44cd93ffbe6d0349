"""The programs that Sluice is compared with, each as its own documentation would have it."""
