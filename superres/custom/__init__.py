"""Weights files that no row of the catalogue names: their network is read from the tensors."""
