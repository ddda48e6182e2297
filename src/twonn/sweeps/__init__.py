"""Many runs: chunks, who computes them, and where the results are kept."""
