"""Writes the parts that FER2013 and RAF-DB are split into, as folders for evaluate.py, without training anything:

python -m lab.emotion_training.parts --shared ../shared --out runs/emotion/held-out
"""

import argparse
from pathlib import Path

from facewire.protocol.arguments import Parser
from lab.emotion_training.data import FER_TRAIN, RAF_TRAIN, Split, load_split, write_pictures


def main() -> int:
    parser = Parser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shared", type=Path, required=True, help="holds fer2013/ and rafdb/")
    parser.add_argument("--out", type=Path, required=True, help="folder of the parts")
    arguments = parser.parse_args()
    write_parts(load_split(arguments.shared), arguments.shared, arguments.out)
    return 0


def write_parts(split: Split, shared: Path, folder: Path) -> Path:
    """The parts for choosing and for reporting, and RAF-DB's pictures that are trained on: what `evaluate.py emotion
    --apart-from` needs."""
    write_pictures(shared / FER_TRAIN, split.choice_fer, folder / "choice-fer2013")
    write_pictures(shared / RAF_TRAIN, split.choice_raf, folder / "choice-rafdb")
    write_pictures(shared / RAF_TRAIN, split.raf_report, folder / "report-rafdb")
    write_pictures(shared / RAF_TRAIN, split.train.take(split.train.raf), folder / "trained-rafdb")
    return folder


if __name__ == "__main__":
    raise SystemExit(main())
