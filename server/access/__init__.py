"""Who asks, and what they may do: tokens with rights, what they see, how much they may ask, and a log of it.

tokens.py       a token: its name, rights, expiry, limits
token_file.py   the file that keeps them, hashed; read again when it changes
gate.py         from a token, and a request, to a permit or a refusal
usage.py        how much each token has asked lately
sight.py        what a token sees, if not everything
caller.py       whose request a thread is serving
audit.py        a line for each identification and change
tokens_command.py  the command that makes, lists and revokes tokens
"""
