"""finops.Money: exact, closed under its operations, and never a float.

Method: hypothesis against `decimal` with a context wide enough to be exact itself.
"""

from __future__ import annotations

import copy
import decimal
import pickle
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from finops import Money, errors

PICO = Decimal(1).scaleb(-12)
WIDE = decimal.Context(prec=200, traps=[decimal.Inexact, decimal.InvalidOperation])
MOST_PICOS = 2**127 - 1  # the range of memory; a store holds less

currencies = st.text(alphabet="ABCDEFGHIJKLMNOPQRSTUVWXYZ", min_size=3, max_size=3)
any_picos = st.integers(min_value=-MOST_PICOS, max_value=MOST_PICOS)
half_picos = st.integers(min_value=-MOST_PICOS // 2, max_value=MOST_PICOS // 2)


def exact(picos: int) -> Decimal:
    return WIDE.multiply(Decimal(picos), PICO)


def usd(picos: int) -> Money:
    return Money(exact(picos), "USD")


# Text.


@given(any_picos, currencies)
def test_text_round_trip(picos: int, currency: str) -> None:
    """parse(str(m)) is m, in both orders and with any blanks, whatever the amount."""
    money = Money(exact(picos), currency)
    assert money.amount == exact(picos)
    assert money.currency == currency
    text = str(money)
    assert Money.parse(text) == money
    number, code = text.split()
    for form in (f"{code} {number}", f"{number}{code}", f"  {number}   {code} "):
        assert Money.parse(form) == money, form


@given(any_picos)
def test_text_has_no_exponent_and_no_superfluous_zero(picos: int) -> None:
    number = str(usd(picos)).split()[0]
    assert set(number) <= set("-0123456789.")
    assert "." not in number or number[-1] not in "0."


@pytest.mark.parametrize(
    ("text", "amount"),
    [
        ("24.50 USD", "24.5"),
        ("USD 24.50", "24.5"),
        ("0 USD", "0"),
        ("-0 USD", "0"),
        ("-0.000000000001 USD", "-0.000000000001"),
        ("00012 USD", "12"),
        ("1.000000000000 USD", "1"),
    ],
)
def test_parse_known_texts(text: str, amount: str) -> None:
    assert Money.parse(text).amount == Decimal(amount)


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "USD",
        "24.50",
        "24.50 usd",
        "24.50 US",
        "24.50 USDX",
        "24,50 USD",
        "1,000 USD",
        "1e3 USD",
        ".5 USD",
        "5. USD",
        "+5 USD",
        "--5 USD",
        "5 5 USD",
        "5\tUSD",
        "5 USD\n",
        "$5",
        "NaN USD",
        "inf USD",
        "0x10 USD",
        "1.0000000000001 USD",
        "\u0665 USD",
        "5 USD EUR",
        "USD 5 USD",
        "5\0 USD",
    ],
)
def test_malformed_texts_are_refused(text: str) -> None:
    with pytest.raises(errors.InvalidMoney):
        Money.parse(text)


def test_an_error_names_the_text_and_the_column() -> None:
    with pytest.raises(errors.InvalidMoney, match=r"'12x4 USD', column 3"):
        Money.parse("12x4 USD")


def test_twelve_decimals_pass_and_thirteen_do_not() -> None:
    assert Money("0.123456789012").amount == Decimal("0.123456789012")
    with pytest.raises(errors.InvalidMoney, match="more than 12 decimals"):
        Money("0.1234567890123")


# Construction.


@pytest.mark.parametrize("amount", [1.5, 0.0, float("nan"), True, None, b"1", [1], 1 + 0j])
def test_only_exact_types_are_amounts(amount: object) -> None:
    with pytest.raises(TypeError):
        Money(amount)  # type: ignore[arg-type]


def test_the_currency_defaults_to_usd_and_is_an_iso_code() -> None:
    assert Money(3).currency == "USD"
    for bad in ("usd", "", "US", "USDX", "U D", "ÄBC"):
        with pytest.raises(errors.InvalidMoney):
            Money(3, bad)
    with pytest.raises(TypeError):
        Money(3, None)  # type: ignore[arg-type]


@given(
    st.decimals(
        allow_nan=False, allow_infinity=False, places=12, min_value=-(10**25), max_value=10**25
    )
)
def test_decimals_are_taken_exactly(amount: Decimal) -> None:
    assert Money(amount).amount == amount


@pytest.mark.parametrize(("text", "value"), [("1E+2", 100), ("1.5E1", 15), ("-0", 0), ("1E-12", 0)])
def test_decimals_with_an_exponent(text: str, value: int) -> None:
    assert Money(Decimal(text)).amount == (Decimal(text) if value == 0 else value)


@pytest.mark.parametrize("text", ["NaN", "sNaN", "Infinity", "-Infinity"])
def test_decimals_that_are_no_number_are_refused(text: str) -> None:
    with pytest.raises(errors.InvalidMoney):
        Money(Decimal(text))


def test_money_is_final_and_read_only() -> None:
    with pytest.raises(TypeError):
        type("Cheap", (Money,), {})
    with pytest.raises(AttributeError):
        Money(1).amount = Decimal(2)  # type: ignore[misc]
    with pytest.raises(AttributeError):
        Money(1).note = "x"  # type: ignore[attr-defined]


# Arithmetic.


@given(half_picos, half_picos)
def test_sum_and_difference_are_exact(a: int, b: int) -> None:
    assert (usd(a) + usd(b)).amount == exact(a + b)
    assert (usd(a) - usd(b)).amount == exact(a - b)
    assert (-usd(a)).amount == exact(-a)
    assert usd(a) + usd(b) - usd(b) == usd(a)


@given(st.integers(-(2**60), 2**60), st.integers(-(2**60), 2**60))
def test_product_with_a_whole_number_is_exact(a: int, factor: int) -> None:
    assert (usd(a) * factor).amount == exact(a * factor)
    assert factor * usd(a) == usd(a) * factor


@given(any_picos, any_picos)
def test_order_is_that_of_the_amounts(a: int, b: int) -> None:
    left, right = usd(a), usd(b)
    assert (left < right, left <= right, left > right, left >= right, left == right) == (
        a < b,
        a <= b,
        a > b,
        a >= b,
        a == b,
    )


@given(any_picos, any_picos)
def test_any_operation_is_exact_or_overflows(a: int, b: int) -> None:
    """Past the range: MoneyOverflow, never a wrapped amount."""
    for operation, expected in ((Money.__add__, a + b), (Money.__sub__, a - b)):
        if abs(expected) <= MOST_PICOS:
            assert operation(usd(a), usd(b)).amount == exact(expected)
        elif expected < -MOST_PICOS - 1 or expected > MOST_PICOS:
            with pytest.raises(errors.MoneyOverflow):
                operation(usd(a), usd(b))


def test_overflow_is_also_the_builtin() -> None:
    top = usd(MOST_PICOS)
    for attempt in (lambda: top + usd(1), lambda: -top - usd(2), lambda: top * 2):
        with pytest.raises(OverflowError):
            attempt()
    with pytest.raises(errors.MoneyOverflow):
        Money(10**27)
    with pytest.raises(errors.MoneyOverflow):
        Money.parse("9" * 60 + " USD")
    with pytest.raises(errors.MoneyOverflow):
        Money("9" * 60)


@pytest.mark.parametrize("factor", [2**63, -(2**63) - 1, 10**30])
def test_a_factor_past_64_bits_overflows(factor: int) -> None:
    with pytest.raises(errors.MoneyOverflow):
        Money(1) * factor


@pytest.mark.parametrize("other", [1, 1.0, Decimal(1), "1 USD", None])
def test_money_mixes_with_nothing_else(other: object) -> None:
    money = Money(1)
    for operation in ("__add__", "__sub__", "__lt__", "__ge__"):
        assert getattr(money, operation)(other) is NotImplemented
    with pytest.raises(TypeError):
        money + other  # type: ignore[operator]
    assert money != other


@pytest.mark.parametrize("factor", [1.5, Decimal(2), "2", None])
def test_products_with_anything_but_int_are_refused(factor: object) -> None:
    with pytest.raises(TypeError):
        Money(1) * factor  # type: ignore[operator]


@given(any_picos, currencies, currencies)
def test_currencies_do_not_mix(picos: int, first: str, second: str) -> None:
    left, right = Money(exact(picos), first), Money(exact(picos), second)
    if first == second:
        assert left == right
        return
    assert left != right
    for operation in ("__add__", "__sub__", "__lt__", "__le__", "__gt__", "__ge__"):
        with pytest.raises(errors.CurrencyMismatch):
            getattr(left, operation)(right)


# Splitting.


@given(any_picos, st.lists(st.integers(0, 2**40), min_size=1, max_size=30).filter(any))
def test_a_split_adds_up_and_is_fair(picos: int, weights: list[int]) -> None:
    """Parts are whole picos, add up to the total, and lie within one pico of the exact share."""
    parts = usd(picos).split(weights)
    counts = [int(WIDE.scaleb(part.amount, 12)) for part in parts]
    assert sum(counts) == picos
    total_weight = sum(weights)
    for count, weight in zip(counts, weights, strict=True):
        assert abs(count * total_weight - picos * weight) < total_weight, (count, weight)
        assert weight > 0 or count == 0


@given(any_picos, st.integers(1, 40))
def test_equal_weights_differ_by_a_pico_and_the_first_get_it(picos: int, count: int) -> None:
    parts = usd(picos).split([1] * count)
    sizes = [abs(int(WIDE.scaleb(part.amount, 12))) for part in parts]
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[0] - sizes[-1] <= 1


@pytest.mark.parametrize("weights", [[], [0], [0, 0], [-1], [1, -1]])
def test_weights_must_be_usable(weights: list[int]) -> None:
    with pytest.raises(errors.InvalidArgument):
        Money(1).split(weights)


def test_weights_must_be_whole_numbers() -> None:
    with pytest.raises(TypeError):
        Money(1).split([0.5, 0.5])  # type: ignore[list-item]


# As a value.


@given(any_picos, currencies)
def test_pickle_copy_hash_and_repr(picos: int, currency: str) -> None:
    money = Money(exact(picos), currency)
    for protocol in range(2, pickle.HIGHEST_PROTOCOL + 1):
        assert pickle.loads(pickle.dumps(money, protocol)) == money
    assert copy.copy(money) == copy.deepcopy(money) == money
    assert hash(money) == hash(Money.parse(str(money)))
    assert eval(repr(money), {"Money": Money}) == money
    assert bool(money) == (picos != 0)


def test_the_very_last_amount_round_trips() -> None:
    """The range is not symmetric: its lowest amount must be writable or unreachable."""
    try:
        lowest = -usd(MOST_PICOS) - usd(1)
    except errors.MoneyOverflow:
        return
    assert Money.parse(str(lowest)) == lowest


def test_equal_amounts_are_one_key() -> None:
    assert {Money("1.0"), Money("1"), Money(1), Money(Decimal("1.00"))} == {Money(1)}
    assert len({Money(1, "USD"), Money(1, "EUR")}) == 2


# Errors.


@pytest.mark.parametrize(
    ("error", "builtin"),
    [
        (errors.InvalidArgument, ValueError),
        (errors.InvalidMoney, ValueError),
        (errors.CurrencyMismatch, ValueError),
        (errors.MoneyOverflow, OverflowError),
        (errors.UnknownResource, LookupError),
        (errors.AmbiguousResource, LookupError),
        (errors.UnpricedResource, LookupError),
        (errors.NotFound, LookupError),
        (errors.Conflict, RuntimeError),
        (errors.BudgetMismatch, ValueError),
        (errors.BudgetExhausted, RuntimeError),
        (errors.HomeNotSafe, PermissionError),
        (errors.UnsupportedSchema, RuntimeError),
        (errors.LedgerCorrupt, RuntimeError),
        (errors.LedgerUnavailable, ConnectionError),
        (errors.SystemFailure, OSError),
        (errors.InternalError, AssertionError),
    ],
)
def test_each_error_is_ours_and_a_builtin(error: type[Exception], builtin: type) -> None:
    assert issubclass(error, errors.FinopsError)
    assert issubclass(error, builtin)


def test_a_pause_is_no_error_but_an_exit() -> None:
    assert issubclass(errors.RunPaused, SystemExit)
    assert not issubclass(errors.RunPaused, Exception)
    paused = errors.RunPaused("the budget is used up")
    assert paused.code == 75
    assert str(paused) == "the budget is used up"
