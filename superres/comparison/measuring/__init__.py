"""What one cell of a comparison measures, in a process of its own."""
