"""`launch` of protocol/launch.py, for scripts started by their path: it runs where facewire is not installed, too."""

import importlib.util
import os

_spec = importlib.util.spec_from_file_location("launch", os.path.realpath(__file__ + "/../../protocol/launch.py"))
assert _spec is not None and _spec.loader is not None
_module = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(_module)
launch = _module.launch
