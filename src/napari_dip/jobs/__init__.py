"""File in, file out; many of them, on one machine or many."""
