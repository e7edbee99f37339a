"""The plugin's face in napari: everything that touches napari or Qt. Opening it does not load torch."""
