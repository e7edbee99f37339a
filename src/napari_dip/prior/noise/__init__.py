"""The noise of an image: how strong it is, how it grows with brightness, and how far it reaches."""
