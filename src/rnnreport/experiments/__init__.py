"""The experiments, one folder a subject: ``run(config) -> Result`` is the only way to a number.

Import the module that you need. The packages re-export nothing, so that settings load no figures.
"""
