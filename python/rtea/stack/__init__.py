"""The local stack: Kafka and Flink on this machine, as real processes under one supervisor.

`rtea.stack.local` starts, shows and stops it; the other modules each prepare one part.
"""
