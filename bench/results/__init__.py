"""What is stored under results/: rows, their store, and which of them count."""
