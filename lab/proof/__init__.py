"""What facewire withstands: each module is a command that tries one thing, and exits with 1 if it doesn't hold."""
