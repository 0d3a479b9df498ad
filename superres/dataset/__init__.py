"""Data sets: degraded pairs made of them, and the same sets enlarged; both go on after a crash."""
