"""What is known of a run as t goes to infinity, and what its samples say."""
