"""Every error that RTEA raises on purpose, with its exit code.

The commands print `str(error)` as one line and exit with `exit_code`. The Rust extension raises the classes at the
end of this file.
"""


class RteaError(Exception):
    """Base class; the message is one line that says what was found and what to do."""

    exit_code = 70
    """A bug in RTEA, unless a subclass sets another code."""


class ConfigError(RteaError):
    """A setting or an option is wrong."""

    exit_code = 2


class BrokerError(RteaError):
    """Kafka cannot be reached or refuses a request."""

    exit_code = 3


class MissingTopicError(RteaError):
    """A topic does not exist or is not configured as the pipeline needs it."""

    exit_code = 4


class PortInUseError(RteaError):
    """A port is in use: one of the local stack, or one for metrics."""

    exit_code = 5


class JarError(RteaError):
    """A jar is missing, cannot be downloaded, or has another checksum."""

    exit_code = 6


class DiskSpaceError(RteaError):
    """The disk is full."""

    exit_code = 7


class StackError(RteaError):
    """The local Kafka or Flink did not start, stop or answer."""

    exit_code = 8


class JobError(RteaError):
    """The Flink job could not be submitted or failed."""

    exit_code = 9


class SinkError(RteaError):
    """A sink cannot write."""

    exit_code = 10


class DeliveryError(RteaError):
    """The generator could not deliver events."""

    exit_code = 11


class InputError(RteaError):
    """A file or record from the user is not valid."""

    exit_code = 12


class SystemRefusalError(RteaError):
    """The operating system refuses something: a permission, a limit."""

    exit_code = 13


# The Rust extension rtea._core raises the errors below.


class InvalidEventError(RteaError, ValueError):
    """An event breaks the schema.

    Attributes:
        reason: reason code, one of `rtea.events.REASONS`.
        field: dotted field name, `""` for the event as a whole.
        expected: what the schema expects in that field.
    """

    exit_code = InputError.exit_code

    def __init__(self, reason: str, field: str, expected: str) -> None:
        super().__init__(f"{reason}: {field or 'event'}: expected {expected}")
        self.reason = reason
        self.field = field
        self.expected = expected


class InvalidMapError(ConfigError):
    """An event map cannot be used.

    Attributes:
        line: the line in its file, from 1.
        problem: what was found there, and what was expected.
    """

    def __init__(self, line: int, problem: str, file: str = "") -> None:
        super().__init__(f"{file or 'event map'} line {line}: {problem}")
        self.line = line
        self.problem = problem


class InvalidBatchError(RteaError):
    """A packed batch does not have the expected layout. This is a bug in the job: no event can cause it."""


class StateError(RteaError, ValueError):
    """State bytes of a partial aggregate or a sketch cannot be read or cannot be merged."""
