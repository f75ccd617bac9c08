"""Speed, always as a ratio against a peer in the same run.

``python -m rnnreport.bench layers`` times the layers; ``scaling`` how their cost grows; ``proof``
the proof of their gradients; ``captioning``, ``text``, ``transfer`` and ``style`` their training.
Without a name it times all.
"""
