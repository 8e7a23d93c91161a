"""What a unit needs to run on another machine: itself as JSON, its files, a worker that is as it was planned for."""
