"""Train the emotion networks: `python scripts/train_emotion.py` (--help says more)."""

if __name__ == "__main__":
    from _launch import launch

    launch("lab.train_emotion", "requirements-train.txt")
