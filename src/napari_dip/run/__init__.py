"""A run: from what is asked to what it gives, and the record that repeats it."""
