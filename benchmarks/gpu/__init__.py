"""Networks on a GPU: cases, ways to run them, and what they are held against."""
