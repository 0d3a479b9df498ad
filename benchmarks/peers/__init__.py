"""What people would pick instead of ours, each made ready on the same image and weights."""
