"""The server. Importing it configures libraries that read their settings when loaded, before anything loads them.

No thread changes the environment later: it belongs to the whole process, and other threads read it.
"""

import os
import sys

# Our matrix products are small and called from many threads: some compare faces with the cohort, others search. With
# threads of its own, OpenBLAS spends more processor time on coordinating them than they save, just when FaceNet wants
# every core: 10 ms per picture (docs/decisions/0009).
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

# Importing OpenVINO reports it to Google Analytics and writes an identifier into ~/intel, without asking and without a
# setting to turn it off. It does neither if its telemetry package is missing (docs/decisions/0047).
sys.modules["openvino_telemetry"] = None  # type: ignore[assignment]

# `import openvino` loads its converter, too, if it is there: a seventh of all imports, for something that is needed
# once (`vision.runtime` puts it back).
sys.modules.setdefault("openvino.tools.ovc", None)  # type: ignore[arg-type]

# Keras reads ~/.keras/keras.json, which may have been written for other programs, and creates it if missing. With this
# home it finds nothing to read and can't write.
os.environ["KERAS_HOME"] = os.devnull

# gRPC, which asks Milvus, would write to stderr beside the line in which we say what is wrong.
os.environ.setdefault("GRPC_VERBOSITY", "NONE")

# Users don't need the libraries' startup messages; DeepFace prints to stdout, which is reserved for our own output.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
os.environ["DEEPFACE_LOG_LEVEL"] = "50"  # logging.CRITICAL
