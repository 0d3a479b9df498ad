"""What every protocol shares: the request on its way to the Executors, limits, keys, errors."""
