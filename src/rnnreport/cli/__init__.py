"""The command line ``rnnreport``."""
