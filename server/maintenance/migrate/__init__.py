"""Moving a gallery to another model: finding each enrolled face again, and embedding it."""
