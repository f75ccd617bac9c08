"""A reader's own hand-written layers, run apart, held against the truth and diagnosed."""
