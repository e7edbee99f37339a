"""Many files: which they are, what of them is done, and who does the rest."""
