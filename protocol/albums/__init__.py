"""The vocabulary of `album.*`: collections of photographs, the people found in them, search and export.

Albums are addressed by name; an album's photos, faces and people by numbers, which are never reused. A *person* of an
album is a cluster of faces, with a name once a user has given one. Boxes are x, y, width, height in pixels of the
upright photo.
"""
