"""The web page: a gateway that is a normal client of the wire protocol, and imports nothing from the server.

settings.py     the flags of web_app.py
main.py         entry point
app.py          the ASGI application and its routes
places.py       limits on connections and requests, and eviction
connections.py  uvicorn's connections with time limits (camera_connections.py: the websocket)
pool.py         FaceClients and their threads
guard.py        checks of every request (Host, origin, CSRF) and security headers
sessions.py     login sessions
guesses.py      token checks, rate-limited
bodies.py       uploads, within limits
answers.py      results and errors as JSON
pages.py        the HTML
assets.py       the files of static/, by hash
operations.py   every operation without pictures, as JSON
pictures.py     upload and download of pictures
live.py         the camera, over a websocket
downloads.py    download of ZIP files
imports.py      folders of the server's own disk into albums
searching.py    search by sample pictures
static/         the page itself: plain CSS and ES modules; no build step
"""
