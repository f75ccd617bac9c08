"""Captioning: learning by heart, training on all captions, and what both show."""
