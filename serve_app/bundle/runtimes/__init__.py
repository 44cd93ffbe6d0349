"""What scores blocks: one module a runtime."""
