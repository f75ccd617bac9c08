"""Experiments: ``run(config) -> Result`` is the only way to a number.

Each module here holds one experiment: a frozen configuration and a function ``run``. What it
returns is a :class:`~rnnreport.experiments._store.Result`, plain data that figures and tables are
drawn from. Import the module that you need; :func:`provenance` says
what results rest on.
"""

from rnnreport.experiments._provenance import Provenance, provenance
from rnnreport.experiments._store import Result

__all__ = ["Provenance", "Result", "provenance"]
