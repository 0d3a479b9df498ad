"""Inference: batches, tiles and row blocks of one network on one device."""
