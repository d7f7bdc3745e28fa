"""`python -m rtea` is the command `rtea`."""

from rtea.cli import main

main()
