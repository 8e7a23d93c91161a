"""What the authors of the variants claim, and what the stored rows say about it."""
