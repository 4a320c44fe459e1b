"""The wire of facewire, version 1, shared by client and server (README.md beside this file specifies it).

framing.py    bytes -> frames                      no I/O
limits.py     is this payload within its limits?   no I/O, nothing built
codec.py      payload <-> messages                 the only module that imports msgpack
shapes.py     messages <-> plain maps, by their type hints
messages.py   requests and answers; gallery_messages.py: those of a subject, joined there
stream.py     frames over a socket                 the only recv and send
errors.py     what can go wrong

What is nobody's message, but the same for every command, stands here, too: formats.py and jpeg.py (picture files),
clutter.py (service files), text.py (words on a terminal), settings.py and arguments.py (settings and command lines),
launch.py (how a command starts and ends).
"""
