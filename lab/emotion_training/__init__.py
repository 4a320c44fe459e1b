"""The parts of `scripts/train_emotion.py`: data, network, augment, loop, export. Serving imports none of them."""
