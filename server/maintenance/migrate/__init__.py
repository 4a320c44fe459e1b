"""migrate_model.py, by idea: seeing an enrolled face again, and embedding all of them."""
