"""The HTTP API: every operation of the wire under `/api/v1`, as JSON. See docs/http.md."""
