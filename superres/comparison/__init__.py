"""Models compared: cost, quality, the largest image, the service; a report and recommendations."""
