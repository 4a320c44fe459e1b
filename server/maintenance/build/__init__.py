"""create_db.py, by idea: the folder, what is known of it, reading and embedding, the skip log, the lock."""
