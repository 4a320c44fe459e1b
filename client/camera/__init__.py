"""Watches a camera through a facewire server: who appeared, who they are, and who left.

A child process reads the stream (`reading.py`), so that one that hangs or crashes in a C library can be killed. The
newest frame is asked about as fast as the server answers (`frames.py`, `watching.py`), faces are followed from frame
to frame (`tracks.py`), and a track's frames vote before a name is said (`votes.py`). What happens goes to any number
of sinks (`sinks.py`, `webhook.py`, `mqtt.py`, `saving.py`), each with a bounded queue and a thread of its own.

Needs the extra `[camera]`: PyAV, OpenCV, paho-mqtt.
"""
