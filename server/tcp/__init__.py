"""The socket server: threads around the protocol, a bound on everything, and no knowledge of faces.

listener.py   accepts connections, up to a number, and stops gracefully
session.py    one connection: reads requests, writes answers
workers.py    the threads that compute, shared by all connections
dispatch.py   a message -> the service's method -> an answer; the only place that knows what an error means
farewell.py   connections told to go: closed so that the last answer arrives
metrics.py    counters
limits.py     every number of the above
"""
