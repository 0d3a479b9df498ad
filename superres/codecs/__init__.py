"""Image files: probe, decode and encode them; PNG, JPEG and TIFF writers, metadata, profiles."""
