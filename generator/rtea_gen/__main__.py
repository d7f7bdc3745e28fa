"""`python -m rtea_gen` is the command `rtea-gen`."""

from rtea_gen.cli import main

# Spawned shards import this module again; only the command itself may run.
if __name__ == "__main__":
    main()
