"""Albums: collections of photographs, the people found in them, corrections, search and export.

limits.py       the limits of an album
schema.py, database.py    the tables, and the connections to them
originals.py    the photos' bytes, filed by sha256
names.py        rules for names of albums, photos and files in ZIPs
pictures.py     formats, sizes, thumbnails, crops
file_cache.py, renditions.py    cached thumbnails and crops
handling.py     maps requests to the functions that answer them
catalogue.py    albums and photos               (SQL)
photos.py       showing and removing photos
ingest.py, adding.py, additions.py, zips.py, uploads.py, folders.py    adding photos
jobs.py, processing.py    long-running jobs, one at a time, followed by any number of clients
poison.py       a guard against pictures that kill the server
vectors.py      an album's embeddings as arrays
faces.py        faces and people                (SQL)
clustering/     groups faces into people
regrouping.py   clusters an album again, around the faces that users have placed
corrections.py, journal.py    users' corrections, and undo
bridge.py       suggested merges; people that the gallery knows
judge.py        the interface to recognition
search.py, export.py, zip_layout.py, sidecars.py    search and export
service.py      `AlbumService`, in the protocol's terms
"""
