"""What is known beforehand: the forward model, the noise, and what was measured."""
