"""`sluice rollout`: what a person sees of a rollout, and how it is commanded, over the server's own HTTP."""
