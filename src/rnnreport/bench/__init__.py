"""Speed, always as a ratio against a peer in the same run.

``python -m rnnreport.bench layers`` and ``python -m rnnreport.bench text``; both without a name.
"""
