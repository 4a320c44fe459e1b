"""Albums: collections of photographs, the people found in them, corrections, search and export.

limits.py       what an album may cost
schema.py, database.py    the tables, and the connections to them
originals.py    the photos' bytes, under their sha256
names.py        what people call things, and what a ZIP may call them
pictures.py     formats, sizes, thumbnails, crops
file_cache.py, renditions.py    thumbnails and crops, made once and cached
handling.py     which function answers a request
catalogue.py    albums and photos               (SQL)
photos.py       photos as shown, and removing them
ingest.py, adding.py, additions.py, zips.py, uploads.py, folders.py    how photos come in
jobs.py, processing.py    long work, one job after the other, followed by any number of clients
poison.py       a guard against pictures that kill the server
vectors.py      an album's faces as arrays
faces.py        faces and people                (SQL)
clustering/     who is who
regrouping.py   an album's clusters, computed anew around what users have placed
corrections.py, journal.py    users' corrections, and undoing them
bridge.py       who may be one, whom the gallery knows
judge.py        what albums need of recognition
search.py, export.py, zip_layout.py, sidecars.py    what comes out
service.py      all of it, in the protocol's terms
"""
