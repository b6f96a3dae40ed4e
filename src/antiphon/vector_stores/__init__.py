"""Vector stores: what they are, how files get into them, and how they are searched."""
