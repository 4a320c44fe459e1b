"""The server. Importing it tells libraries what they read when they are loaded, before anything loads them.

No thread changes the environment later: it is the whole process's, and others read it meanwhile.
"""

import os
import sys

# Products here are small, and callers many: a face is held against the cohort by one, and searched for by another. With
# threads of its own OpenBLAS spends more processor time on handing them out and waiting for them than they save, just
# when FaceNet wants every core: 10 ms a picture (docs/decisions/0009).
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

# Importing OpenVINO tells Google Analytics so, and writes an identity into ~/intel. It asks nobody, and no setting
# turns it off; where its package for that is missing, it does neither (docs/decisions/0047).
sys.modules["openvino_telemetry"] = None  # type: ignore[assignment]

# Keras reads ~/.keras/keras.json, written for other programs, and writes it where there is none. Here it finds nothing
# to read and nowhere to write.
os.environ["KERAS_HOME"] = os.devnull

# Their greetings are no news to our users; DeepFace prints to stdout, which is ours.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
os.environ["DEEPFACE_LOG_LEVEL"] = "50"  # logging.CRITICAL
