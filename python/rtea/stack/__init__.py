"""The local stack: Kafka and Flink on this machine, as processes under one supervisor.

`rtea.stack.local` starts, shows and stops the stack; each other module prepares one part.
"""
