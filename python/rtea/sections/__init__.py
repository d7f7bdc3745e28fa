"""The sections of the configuration: every setting with its default, its bounds and its meaning.

`rtea.config` resolves them; docs/configuration.md is generated from them (`rtea config docs`).
"""

from rtea.sections.generator import FaultsSection, GeneratorSection
from rtea.sections.local import DashboardSection, JarsSection, StackSection, user_jar_cache
from rtea.sections.pipeline import EventsSection, JobSection, KafkaSection, is_map_file
from rtea.sections.section import Section
from rtea.sections.sinks import BigQuerySection, SinkSection

__all__ = [
    "BigQuerySection",
    "DashboardSection",
    "EventsSection",
    "FaultsSection",
    "GeneratorSection",
    "JarsSection",
    "JobSection",
    "KafkaSection",
    "Section",
    "SinkSection",
    "StackSection",
    "is_map_file",
    "user_jar_cache",
]
