"""Transfer learning: ants from bees with a network that was trained on something else."""
