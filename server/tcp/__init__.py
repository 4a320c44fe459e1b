"""The socket server: threads around the protocol, a bound on everything, and no knowledge of faces.

On the path of a request, in its order:
session.py      one connection: reads requests
admission.py    the first steps of a connection: authenticate, get a place
lifetime.py     a connection's requests in flight, idle time and reason for ending
dispatch.py     a request -> its handler
workers.py      the threads that run handlers; connections take turns
patience.py     how long the client still waits
answers.py      encodes results and errors; the only module that maps errors to codes
outbox.py       a connection's send queue

listener.py     accepts connections and stops gracefully
places.py       connection limits, and which connection is dropped when they are reached
certificates.py TLS: the certificate of new connections, read again when its files change
tokens.py       authentication, and delays after wrong tokens
buffers.py      memory for incoming frames, shared by all connections
forecast.py     predicts waiting times, and retry times for refused requests
lingering.py    closes a connection without losing its last answer
descriptors.py  raises the limit of open files
metrics.py      counters
limits.py       all limits of the above
"""
