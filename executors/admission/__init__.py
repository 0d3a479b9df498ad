"""Admission: the queue, its deadlines, estimates, thread pools and the memory budget."""
