"""The wire protocol of facewire, version 1, shared by client and server (specified in README.md in this folder).

framing.py    bytes -> frames                      no I/O
codec.py      payload <-> messages, within limits  the only module that imports msgpack
schema.py     what a message is: its answer, types and ranges; messages <-> plain maps
messages.py   requests and answers; gallery_messages.py and albums/: those of one subject
stream.py     frames over a socket                 with tls.py, the only module that calls recv and send
tls.py        TLS below the stream
rights.py     which rights an operation takes
address.py    where a server is, in one string
errors.py     protocol errors and error codes

Code shared by all commands is here, too: formats.py and jpeg.py (picture files), clutter.py (service files), text.py
(terminal output), settings.py and arguments.py (settings and command lines), launch.py (start and end of a command),
command_names.py (what commands are called where pip installed them).
"""
