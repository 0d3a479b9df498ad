"""Images made to a prompt by pipelines of diffusers: from nothing, from an image, inside a mask."""
