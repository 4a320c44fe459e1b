"""The wire protocol of facewire, version 1, shared by client and server (specified in README.md in this folder).

framing.py    bytes -> frames                      no I/O
limits.py     checks the size limits of payloads   no I/O, builds no objects
codec.py      payload <-> messages                 the only module that imports msgpack
shapes.py     messages <-> plain maps, by their type hints
messages.py   requests and answers; gallery_messages.py and albums/: those of one subject
stream.py     frames over a socket                 the only module that calls recv and send
errors.py     protocol errors and error codes

Code shared by all commands is here, too: formats.py and jpeg.py (picture files), clutter.py (service files), text.py
(terminal output), settings.py and arguments.py (settings and command lines), launch.py (start and end of a command).
"""
