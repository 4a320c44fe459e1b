"""Albums: collections of photographs, the people found in them, corrections, search and export.

settings.py     settings and limits
schema.py, database.py    the tables, and the connections to them
originals.py    the photos' bytes, filed by sha256
names.py        rules for names of albums, photos and files in ZIPs
pictures.py     thumbnails and crops; file_cache.py keeps them
headers.py      what photos' files say, for photos added before it was recorded
handling.py     maps requests to the functions that answer them
catalogue.py    albums and photos               (SQL)
times.py        when a photo was taken
photos.py       showing and removing photos
ingest.py, intake.py, adding.py, additions.py, zips.py, uploads.py, video_uploads.py, folders.py    adding photos
jobs.py, processing.py    long-running jobs, one at a time, followed by any number of clients
poison.py       a guard against pictures that kill the server
xmp.py, packets.py, metadata.py    faces and names from photos' own metadata
vectors.py      an album's embeddings as arrays
clarity.py      how much of its person a face shows
faces.py        faces and people                (SQL)
clustering/     groups faces into people
regrouping.py   clusters an album again, around the faces that users have placed
drawing.py      faces that users draw by hand
corrections.py, journal.py    users' corrections, and undo
bridge.py       suggested merges; people that the gallery knows
judge.py        the interface to recognition
search.py, export.py, export_reader.py, zip_layout.py, sidecars.py, regions.py, copies.py, crc.py    search and export
service.py      `AlbumService`, in the protocol's terms
"""
