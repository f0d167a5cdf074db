"""Bytes and CPU time as Kubernetes writes them. The only place that rounds.

Inside the operator an amount is an `int` in its smallest unit: bytes, thousandths of a core. Only this
module turns it into text such as "16Gi" and back, so GiB (1024^3) and GB (1000^3) never meet by accident.
"""

import re
from decimal import Decimal
from fractions import Fraction
from typing import Final

KIB: Final = 1024
MIB: Final = 1024**2
GIB: Final = 1024**3

_BINARY: Final = {"Ki": 1, "Mi": 2, "Gi": 3, "Ti": 4, "Pi": 5, "Ei": 6}
_DECIMAL: Final = {"n": -9, "u": -6, "m": -3, "": 0, "k": 3, "M": 6, "G": 9, "T": 12, "P": 15, "E": 18}
_QUANTITY: Final = re.compile(
    r"(?P<number>\+?(\d{1,40}(\.\d{0,40})?|\.\d{1,40}))((?P<suffix>[KMGTPE]i|[numkMGTPE])|[eE](?P<exponent>[+-]?\d{1,2}))?",
    re.ASCII,
)


class QuantityError(ValueError):
    """A text is not an amount; the message shows the text and how to write one."""


def parse_bytes(text: str) -> int:
    """Bytes of a Kubernetes quantity; a fraction of a byte counts as a whole one, as in Kubernetes.

    "16Gi" is 17,179,869,184; "16G" is 16,000,000,000; "400" is 400 bytes; "1e9" is 1,000,000,000.

    Raises:
        QuantityError: the text is no quantity, or a negative one.
    """
    match = _QUANTITY.fullmatch(text)
    if match is None:
        msg = f"{text!r} is not an amount of memory: write a number and a unit, such as 512Mi or 16Gi"
        raise QuantityError(msg)
    number = Fraction(Decimal(match["number"]))
    if match["exponent"] is not None:
        return _round_up(number * Fraction(10) ** int(match["exponent"]))
    suffix = match["suffix"] or ""
    if suffix in _BINARY:
        return _round_up(number * 1024 ** _BINARY[suffix])
    return _round_up(number * Fraction(10) ** _DECIMAL[suffix])


def format_bytes(amount: int) -> str:
    """The exact amount with the largest binary unit that needs no fraction: 17,179,869,184 is "16Gi"."""
    suffix = ""
    for unit in _BINARY:
        if amount == 0 or amount % 1024:
            break
        amount //= 1024
        suffix = unit
    return f"{amount}{suffix}"


def format_memory_request(amount: int) -> str:
    """The amount in whole MiB, rounded up, as the API server writes it back: 1 GiB is "1Gi", not "1024Mi".

    Up, because a request below the need lets the scheduler put a pod where it does not fit. In any other
    spelling a stored object would never equal the wanted one and be applied for ever.
    """
    return format_bytes(_round_up(Fraction(amount, MIB)) * MIB)


def format_gib(amount: int) -> str:
    """The amount for a sentence, to a tenth of a GiB, rounded up: "12.6 GiB"."""
    tenths = _round_up(Fraction(amount * 10, GIB))
    return f"{tenths // 10}.{tenths % 10} GiB"


def format_cpu(millicores: int) -> str:
    """CPU time as a quantity: 500 thousandths of a core is "500m", 2,000 is "2"."""
    return f"{millicores}m" if millicores % 1000 else str(millicores // 1000)


def _round_up(number: Fraction) -> int:
    return -(-number.numerator // number.denominator)
