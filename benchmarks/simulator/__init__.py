"""Rollouts of the real code in virtual time: clients, processes and faults are simulated."""
