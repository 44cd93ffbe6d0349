"""Who may ask for what, and how much of it: API keys and rate limits."""
