"""The machine room: where results are stored, what they rest on, and where runs run."""
