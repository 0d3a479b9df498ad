"""Images in memory: frames and streams of rows, resampling, size expressions."""
