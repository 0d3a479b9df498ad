"""Face enhancement: detection, alignment, restoration by a network, pasting back."""
