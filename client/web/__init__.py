"""The web page: a gateway that speaks the wire protocol like any other client, and imports nothing of the server.

settings.py     the flags of web_app.py
main.py         builds it, runs it, ends it
app.py          routes, and what they share
places.py       who holds a connection or a request, and who gives way
connections.py  the connections themselves: uvicorn's, bounded in time (camera_connections.py: the websocket)
pool.py         FaceClients and the threads that wait for them
guard.py        what every request must pass, and what every answer carries: Host, origin, CSRF, headers
sessions.py     who has said which token
guesses.py      tokens that are tried
bodies.py       uploads, within limits
answers.py      results and errors as JSON
pages.py        the HTML
operations.py   every operation without pictures, as JSON
pictures.py     pictures in and out
live.py         the camera, over a websocket
downloads.py    ZIP files
imports.py      folders of the server's own disk into albums
searching.py    samples and what is searched with them
static/         the page itself: plain CSS and ES modules; no build step
"""
