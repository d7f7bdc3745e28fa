"""Sinks: write the results topic to tables. `rtea.sinks.contract` says what a sink promises."""
