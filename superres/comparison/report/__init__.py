"""A comparison's cells as a page, as Markdown and as JSON."""
