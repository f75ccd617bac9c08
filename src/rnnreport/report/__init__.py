"""What makes a report of experiments: its parts, findings, records and front page."""
