"""Albums: collections of photographs, the people found in them, corrections, search and export.

limits.py       what an album may cost
schema.py, database.py    the tables, and the connections to them
originals.py    the photos' bytes, under their sha256
names.py        what people call things, and what a ZIP may call them
pictures.py     formats, sizes, thumbnails, crops
shelf.py, renditions.py   thumbnails and crops, kept while there is room
catalogue.py    albums and photos               (SQL)
ingest.py, adding.py, additions.py, zips.py, uploads.py, folders.py    how photos come in
jobs.py, processing.py, deathwatch.py    long work: one after the other, followed by any number of clients
vectors.py      an album's faces as arrays
faces.py        faces and people                (SQL)
clustering/     who is who
regrouping.py   an album's clusters, computed anew around what users have placed
corrections.py, journal.py    what users say, and taking it back
people.py       who may be one, whom the gallery knows
lending.py      what albums need of recognition and gallery
search.py, export.py, zip_layout.py, sidecars.py    what comes out
service.py      all of it, in the protocol's words
"""
