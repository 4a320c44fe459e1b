"""Decodes untrusted picture files, in child processes that may crash, loop or use too much memory.

The server uses `decoder.Decoder`. Its child processes (forkserver) read the bytes with `reading`: first the
structure (guards), then the header, then the pixels, with the functions of `server.vision.image`.
"""
