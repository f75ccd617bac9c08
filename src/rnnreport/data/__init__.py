"""Data: where a file comes from, and one loader for each data set.

:mod:`rnnreport.data.download` alone touches the network. Import the module that you need
(:mod:`rnnreport.data.assets`, :mod:`rnnreport.data.flickr8k`, …): this package imports none of
them, so that a stored result depends only on the modules that it uses.
"""
