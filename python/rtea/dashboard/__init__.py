"""The live page: how the shop is doing, and how the pipeline is.

`feed` follows the results topic into `store`, which also has what the table knew before. `health` asks Flink and Kafka
how the pipeline is. `state` makes of both what the page shows, by the panels in `panels`; `server` serves it with the
page in `static`. It reads the table once at the start, and to compare it with a manifest; a sink waits no longer than
such a read takes.
"""
