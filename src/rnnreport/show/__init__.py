"""How things look: figures, tables and HTML. Nothing here knows an experiment."""
