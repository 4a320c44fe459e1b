"""The socket server: threads around the protocol, a bound on everything, and no knowledge of faces.

On the path of a request, in its order:
session.py      one connection: reads requests
admission.py    what it must do first: say the token, take a place
lifetime.py     what a connection has under way, and why it ends
dispatch.py     a request -> its handler
workers.py      the threads that run handlers; connections take turns
patience.py     how long whoever asked still waits
answers.py      what became of a request, as bytes; the only place that knows what an error means
outbox.py       what a connection still has to send

listener.py     accepts connections and stops gracefully
places.py       how many may be connected, and who gives way to whom
tokens.py       who may ask, and what wrong tokens cost
buffers.py      memory for frames that are arriving, shared by all connections
forecast.py     how long a request will wait, and when who can't wait should ask again
lingering.py    closes a connection so that its last answer arrives
descriptors.py  open files for all of them
metrics.py      counters
limits.py       every number of the above
"""
