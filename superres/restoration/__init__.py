"""Restoration: networks and faces in a chain, of which the enlargement is one step."""
