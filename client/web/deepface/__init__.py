"""DeepFace's REST API, answered by a facewire server: `web_app.py --deepface-api`. See docs/deepface-api.md."""
