"""What comes back: states of networks, and trajectories."""
