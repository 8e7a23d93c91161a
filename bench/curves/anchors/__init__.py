"""Published rate-distortion curves with their provenance, and files of such curves in and out."""
