"""How it is run: the adapter to the compiled kernel, single runs and batches, checkpoints."""
