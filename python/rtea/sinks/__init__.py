"""Sinks: results topic in, table rows out. `rtea.sinks.contract` says what a sink promises."""
