"""Executors of images made to a prompt: requests, and what answers them."""
