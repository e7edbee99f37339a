"""What a network is fitted to, and how it predicts."""
