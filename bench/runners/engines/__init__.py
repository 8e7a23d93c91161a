"""Where units run: in processes of this machine, as jobs of a Slurm cluster, as tasks of Ray."""
