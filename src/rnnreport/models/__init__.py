"""Models built from the hand-derived layers."""
