"""The Stable Diffusion x4 upscaler: its files, options, networks and sampling in tiles."""
