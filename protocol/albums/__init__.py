"""The vocabulary of `album.*`: collections of photographs, the people found in them, search and export.

An album is asked for by its name; photos, faces and people of an album by their numbers, which are never used again
for another. A *person* of an album is a cluster of faces, with a name once somebody has given one. Boxes are
x, y, width, height in pixels of the photo as shown.
"""
