"""Layers, and what is shown in them."""
