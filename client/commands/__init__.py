"""The commands of the command line: each is a function, registered with its name, help and arguments by a decorator."""
