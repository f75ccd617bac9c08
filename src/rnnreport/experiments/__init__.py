"""Experiments: ``run(config) -> Result`` is the only way to a number.

Each module here holds one experiment: a frozen configuration and a function ``run``. What it
returns is a :class:`~rnnreport.experiments.store.Result`, plain data that figures and tables are
drawn from. Import the module that you need; :mod:`rnnreport.experiments.provenance` says in a page
what its results rest on.
"""
