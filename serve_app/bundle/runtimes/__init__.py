"""What scores blocks: the list of runtimes (registry), and one module for each."""
