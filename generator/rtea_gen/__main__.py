"""`python -m rtea_gen` is the command `rtea-gen`."""

from rtea_gen.cli import main

# Spawned shards import this module too, but must not run the command.
if __name__ == "__main__":
    main()
