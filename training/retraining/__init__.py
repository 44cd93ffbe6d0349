"""From what was logged and came true to the next version."""
