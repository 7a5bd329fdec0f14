"""Amounts of money: exact decimals with the digits of their currency."""

from decimal import Decimal
from functools import lru_cache

_WORDS_CURRENCIES = """
    AED AFN ALL AMD AOA ARS AUD AWG AZN BAM BBD BDT BGN BHD BIF BMD BND BOB BRL BSD BTN BWP BYN
    BZD CAD CDF CHF CLP CNY COP CRC CUP CVE CZK DJF DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL
    GHS GIP GMD GNF GTQ GYD HKD HNL HTG HUF IDR ILS INR IQD IRR ISK JMD JOD JPY KES KGS KHR KMF
    KPW KRW KWD KYD KZT LAK LBP LKR LRD LSL LYD MAD MDL MGA MKD MMK MNT MOP MRU MUR MVR MWK MXN
    MYR MZN NAD NGN NIO NOK NPR NZD OMR PAB PEN PGK PHP PKR PLN PYG QAR RON RSD RUB RWF SAR SBD
    SCR SDG SEK SGD SHP SLE SOS SRD SSP STN SVC SYP SZL THB TJS TMT TND TOP TRY TTD TWD TZS UAH
    UGX USD UYU UZS VES VND VUV WST XAF XCD XOF XPF YER ZAR ZMW ZWG
"""
CURRENCIES = frozenset(_WORDS_CURRENCIES.split())
"""The currencies that can be counted in, by ISO 4217."""

_WORDS_NO_DIGITS = """
    BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX VND VUV XAF XOF XPF
"""
_NO_DIGITS = frozenset(_WORDS_NO_DIGITS.split())
_WORDS_THREE_DIGITS = """
    BHD IQD JOD KWD LYD OMR TND
"""
_THREE_DIGITS = frozenset(_WORDS_THREE_DIGITS.split())

MAX_DIGITS = 13
DECIMAL_PLACES = 3
"""Of a money column: room for the most digits that a currency has."""


def digits_of(currency: str) -> int:
    """How many digits the minor unit of this currency has."""
    if currency in _NO_DIGITS:
        return 0
    return 3 if currency in _THREE_DIGITS else 2


@lru_cache
def minor_unit(currency: str) -> Decimal:
    """`Decimal("0.01")`, of yen `Decimal("1")`."""
    return Decimal(1).scaleb(-digits_of(currency))


def fits(amount: Decimal, currency: str) -> bool:
    """Whether the amount has no more digits than its currency."""
    return amount == round(amount, digits_of(currency))


def money_text(amount: Decimal, currency: str) -> str:
    """The canonical wire form: `"100.00"`, in yen `"100"`."""
    digits = digits_of(currency)
    # Mostly the amount has its digits already, and its own text is five times as quick.
    text = str(amount)
    return text if digits and text[-digits - 1 : -digits] == "." else f"{amount:.{digits}f}"


def money_number(amount: Decimal | str) -> int | float:
    """The wire form of systems that send JSON numbers in major units: `100`, `99.5`."""
    # Of 15 digits, as many as a column keeps, a double loses none.
    number = float(amount)
    return int(number) if number.is_integer() else number
