"""How a fit goes on, when it ends, and which fits follow each other."""
