"""Whether what looks like personal data is some: numbers by their checksums and plans, by maintained libraries."""

import ipaddress
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Final

Check = Callable[[str, Sequence[str]], bool]
"""The text that matched, and the regions (`US`) of a rule."""
_NOT_DIGITS = re.compile(r"[^0-9]+")
_GROUPS = re.compile(r"[0-9]+")
_CARD = re.compile(
    r"4[0-9]{12}(?:[0-9]{3}){0,2}"  # Visa
    r"|5[1-5][0-9]{14}|2(?:2[2-9]|[3-6][0-9]|7[01])[0-9]{13}"  # Mastercard
    r"|3[47][0-9]{13}"  # American Express
    r"|3(?:0[0-5]|[68][0-9])[0-9]{11}"  # Diners Club
    r"|6(?:011|4[4-9][0-9]|5[0-9]{2})[0-9]{12}"  # Discover
    r"|35[0-9]{14}"  # JCB
    r"|62[0-9]{14,17}"  # UnionPay
)
"""Which numbers issuers give out, by their first digits and their length."""
_MAX_PHONE_DIGITS: Final = 15
"""E.164."""
_IBAN_LENGTHS: Final = range(15, 35)


def is_card(text: str, _regions: Sequence[str]) -> bool:
    """A number of a card that is issued, among the groups of digits."""
    shaped = [number for number in _numbers(text) if _CARD.fullmatch(number)]
    if not shaped:
        return False
    import validators

    return any(validators.card_number(number) is True for number in shaped)


def is_iban(text: str, _regions: Sequence[str]) -> bool:
    """An IBAN at the beginning, whatever words follow."""
    import validators

    groups = text.upper().split()
    for count in range(len(groups), 0, -1):
        whole = "".join(groups[:count])
        if len(whole) in _IBAN_LENGTHS and validators.iban(whole) is True:
            return True
    return False


def is_email(text: str, _regions: Sequence[str]) -> bool:
    import validators

    return validators.email(text) is True


def is_phone(text: str, regions: Sequence[str]) -> bool:
    """A number of the numbering plan of its country, or of one of the regions."""
    if sum(one.isdigit() for one in text) > _MAX_PHONE_DIGITS:
        return False
    from phonenumbers import NumberParseException, is_valid_number, parse

    for region in ("ZZ",) if text.startswith("+") else regions:
        try:
            if is_valid_number(parse(text, region)):
                return True
        except NumberParseException:
            continue
    return False


def is_address(text: str, _regions: Sequence[str]) -> bool:
    """An IP address that somebody on the internet may have."""
    try:
        return ipaddress.ip_address(text).is_global
    except ValueError:
        return False


def is_us_ssn(text: str, _regions: Sequence[str]) -> bool:
    """A number that the Social Security Administration may have given (since 2011: all but these)."""
    area, group, serial = _ssn_parts(text)
    return area not in ("000", "666") and area < "900" and group != "00" and serial != "0000"


def _ssn_parts(text: str) -> tuple[str, str, str]:
    digits = _NOT_DIGITS.sub("", text)
    return digits[:3], digits[3:5], digits[5:]


def is_random(text: str, _regions: Sequence[str]) -> bool:
    """Letters and digits in the mix that generated secrets have, and words do not."""
    kinds = [
        any(one.islower() for one in text),
        any(one.isupper() for one in text),
        any(one.isdigit() for one in text),
    ]
    different = len(set(text)) / max(1, min(len(text), 32))
    return sum(kinds) >= 2 and any(kinds[2:]) and different >= 0.4


def _numbers(text: str) -> Iterator[str]:
    """Each run of whole groups that has the length of a card's number."""
    groups = _GROUPS.findall(text)
    for start in range(len(groups)):
        number = ""
        for group in groups[start:]:
            number += group
            if len(number) > 19:
                break
            if len(number) >= 12:
                yield number


CHECKS: Final[Mapping[str, Check]] = {
    "card": is_card,
    "email": is_email,
    "iban": is_iban,
    "ip_address": is_address,
    "phone": is_phone,
    "random": is_random,
    "us_ssn": is_us_ssn,
}
"""What a rule may name in `check`."""
