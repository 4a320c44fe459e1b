"""Tokens of a server: `python scripts/tokens.py create | list | revoke` (--help says more)."""

if __name__ == "__main__":
    from _launch import launch

    launch("facewire.server.access.tokens_command")
