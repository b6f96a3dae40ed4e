"""Words of questions in English that say nothing about what is asked for; left out of a query that has others."""

from typing import Final

STOP_WORDS: Final = frozenset(
    """
    a about after again all also am an and any are as at be because been before being between both but by can could
    did do does doing done down during each few for from further had has have having he her here hers him his how i if
    in into is it its itself just like many may me might more most much must my no nor not now of off on once only or
    other our ours out over own same shall she should so some such than that the their theirs them then there these
    they this those through to too under until up us very was we were what when where which while who whom whose why
    will with would you your yours tell show find explain describe give please
    """.split()  # noqa: SIM905  a list that people read
)
