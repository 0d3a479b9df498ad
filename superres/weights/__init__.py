"""Files of weights: found, downloaded, verified and read."""
