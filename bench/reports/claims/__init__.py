"""The report of the authors' claims."""
