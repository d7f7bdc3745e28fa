"""Amounts of money: the job counts in minor units (cents); tables and queries use major units (dollars)."""

from decimal import Decimal

from rtea import _core

DECIMALS = 4
"""The most decimals of any currency (ISO 4217)."""


def major_units(minor: int | str, currency: str) -> Decimal:
    """Convert minor units of a currency to major units, with as many decimals as the currency has.

    >>> major_units(1250, "USD"), major_units("1250", "JPY"), major_units(1250, "KWD")
    (Decimal('12.50'), Decimal('1250'), Decimal('1.250'))
    """
    return Decimal(minor).scaleb(-_core.minor_digits(currency))
