"""The one door through which strangers' picture bytes are decoded: child processes that may crash, loop or grow.

`decoder.Decoder` is what the server holds. In its children (nursery, child) `reading` looks at the bytes: structure
first (guards), then the header, then the pixels, by the functions of `server.vision.image`.
"""
