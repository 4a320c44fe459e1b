"""Building a gallery from a folder: scanning, planning, reading and embedding pictures, staging, and the skip log."""
