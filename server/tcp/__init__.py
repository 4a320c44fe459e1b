"""The socket server: threads around the protocol, a bound on everything, and no knowledge of faces.

listener.py     accepts connections and stops gracefully
places.py       how many may be connected, and who gives way to whom
tokens.py       who may ask, and what wrong tokens cost
session.py      one connection: reads requests, writes answers
buffers.py      memory for frames that are arriving, shared by all connections
workers.py      the threads that compute; connections take turns
forecast.py     how long a request will wait
patience.py     how long one may, and the news of long work
dispatch.py     a message -> the service's method -> an answer; the only place that knows what an error means
following.py    requests whose answer comes when long work is done
farewell.py     connections told to go: closed so that the last answer arrives
descriptors.py  open files for all of them
metrics.py      counters
limits.py       every number of the above
"""
