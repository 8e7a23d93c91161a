"""How the task weights of rate and distortion are balanced."""
