"""Distillation: how the embedded network is trained from two large ones."""
