"""Values from outside (a browser, a file, a command line) made safe: clamped into their range, or refused.

A widget's own limits are a courtesy to its user; these are the limits.
"""

import math
import numbers
from collections.abc import Callable, Collection, Sequence

from .errors import PlaygroundError, register

SEED_MAX = 2**31 - 1

register({
    "input.number": (
        "{name} is {found}; a finite number from {low} to {high} was expected.",
        "{name} 的值是 {found}；应为 {low} 到 {high} 之间的有限数。",
    ),
    "input.integer": (
        "{name} is {found}; a whole number from {low} to {high} was expected.",
        "{name} 的值是 {found}；应为 {low} 到 {high} 之间的整数。",
    ),
    "input.length": (
        "{name} has {found} values; {expected} were expected.",
        "{name} 有 {found} 个值；应有 {expected} 个。",
    ),
    "input.list": (
        "{name} is {found}; a list of {expected} numbers was expected.",
        "{name} 的值是 {found}；应为 {expected} 个数的列表。",
    ),
    "input.choice": (
        "{name} “{found}” is not known here; choose one of: {choices}.",
        "{name}“{found}”不存在；请选择：{choices}。",
    ),
})


def number(name: str, value: object, low: float, high: float) -> float:
    """`value` clamped into [low, high]; booleans, texts, NaN and infinities raise `PlaygroundError`."""
    if not _finite(value):
        raise PlaygroundError("input.number", name=name, found=_found(value), low=f"{low:g}", high=f"{high:g}")
    return float(min(max(value, low), high))


def within(name: str, value: object, low: float, high: float) -> float:
    """A number in [low, high]; beyond, where `number` would clamp, it raises `PlaygroundError` too."""
    if number(name, value, low, high) != value:
        raise PlaygroundError("input.number", name=name, found=_found(value), low=f"{low:g}", high=f"{high:g}")
    return float(value)


def integer(name: str, value: object, low: int, high: int) -> int:
    """A whole number in [low, high]; 3.0 is 3, but 3.5, -1 for a seed, booleans and texts raise `PlaygroundError`.

    Unlike `number`, nothing is clamped: a seed or a count silently changed would answer another question.
    """
    if not _finite(value) or value != int(value) or not low <= value <= high:
        raise PlaygroundError("input.integer", name=name, found=_found(value), low=low, high=high)
    return int(value)


def seed(value: object) -> int:
    return integer("seed", value, 0, SEED_MAX)


Check = Callable[[str, object, float, float], float]


def vector(name: str, values: object, length: int, low: float, high: float, *, check: Check = number) -> list[float]:
    """`length` numbers, each clamped into [low, high] (or refused beyond, with `check=within`); any other length or
    kind raises `PlaygroundError`."""
    if not isinstance(values, Sequence) or isinstance(values, (str, bytes)):
        raise PlaygroundError("input.list", name=name, found=_found(values), expected=length)
    if len(values) != length:
        raise PlaygroundError("input.length", name=name, found=len(values), expected=length)
    return [check(f"{name}{i + 1}", value, low, high) for i, value in enumerate(values)]


def numbers_in(name: str, text: object, length: int, low: float, high: float, *, pad: bool = False,
               check: Check = number) -> list[float]:
    """`vector` from text such as "0.5,-1,2", as it comes in a URL; with `pad`, a shorter list ends in zeros."""
    if not isinstance(text, str):
        raise PlaygroundError("input.list", name=name, found=_found(text), expected=length)
    values = [parsed(part) for part in text.split(",", length + 1)] if text else []      # a long text is not split to its end
    return vector(name, values + [0.0] * (length - len(values)) * pad, length, low, high, check=check)


def choice(name: str, value: object, choices: Collection[str]) -> str:
    """`value` if it is one of `choices`, else `PlaygroundError`."""
    if not isinstance(value, str) or value not in choices:
        found = value[:40] if isinstance(value, str) else _found(value)
        raise PlaygroundError("input.choice", name=name, found=found, choices=", ".join(sorted(choices)))
    return value


def _finite(value: object) -> bool:
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        return False
    try:
        return math.isfinite(value)
    except OverflowError:                                     # an int beyond the largest float
        return False


def parsed(text: object) -> object:
    """The number a short text holds, else the text itself, for one of the checks to refuse."""
    try:
        return float(text) if isinstance(text, str) and len(text) <= 64 else text
    except ValueError:
        return text


def _found(value: object) -> str:
    """How a refused value is named: numbers as they are, text quoted and cut, anything else by its kind."""
    if value is None or isinstance(value, (bool, numbers.Real)):
        return f"{value:g}" if isinstance(value, float) else str(value) if value is None or abs(value) < 10**15 else "…"
    return f"“{value[:40]}”" if isinstance(value, str) else type(value).__name__
