"""How photos lose quality: blur, resizing, noise and compression, drawn at random and recorded."""
