"""What predictions come to: posterior mean, stacking, uncertainty."""
