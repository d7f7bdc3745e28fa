"""What every section of the configuration shares."""

import json
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, field_validator


class Section(BaseModel):
    """A table of the configuration file; unknown keys are errors, values never change, and numbers are finite."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True, allow_inf_nan=False)

    @field_validator("*")
    @classmethod
    def _fits(cls, value: Any) -> Any:
        # Java and Rust take no longer integers; a seed is one without a sign.
        if isinstance(value, int) and value >= 2**64:
            raise ValueError(f"{value} is too large: expected an integer below 2^64")
        return value


def parsed(value: Any) -> Any:
    """A table or list given as text, on the command line or in the environment, is JSON."""
    try:
        return json.loads(value) if isinstance(value, str) else value
    except ValueError as error:
        # The value may hold a secret: it is not repeated.
        raise ValueError(f'expected JSON, such as ["a", "b"] or {{"a": "b"}}: {error}') from error


Strings = Annotated[tuple[str, ...], BeforeValidator(parsed)]
UInt32 = Annotated[int, Field(ge=0, lt=2**32)]
