"""How a run is begun, watched and ended."""
