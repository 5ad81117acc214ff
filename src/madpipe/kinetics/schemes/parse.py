"""From a scheme's text to its states and steps."""

import re
from collections.abc import Sequence

from madpipe.kinetics.schemes.scheme import Law, Reaction, Scheme
from madpipe.kinetics.schemes.tokens import (
    BOTH_WAYS,
    END_OF_CHAIN,
    NAME,
    NUMBER,
    ONE_WAY,
    PLUS,
    Token,
    fault,
    tokens_of,
)

_NAMED = {
    "avrami": "A->B (avrami)",
    "stretched": "A->B (stretched)",
    "stretched-exponential": "A->B (stretched)",
    "finke-watzky": "A->B, A+B->2B",
    "nucleation-growth": "A->B, A+B->2B",
    "autocatalysis": "A->B, A+B->2B",
}
_LAW = re.compile(r"\(\s*([^()]*?)\s*\)\s*$")
_LAWS: dict[str, Law] = {"avrami": "avrami", "stretched": "stretched"}
NOT_SEEN = "0"  # what scatters nothing
_Side = tuple[tuple[str, int], ...]  # (state, molecules)


def parse_scheme(text: str) -> Scheme:
    """Read a mechanism.

    Chains are separated by commas: ``A->B->C``; ``A<->B``; ``2A<->A2``; ``A->B, A->C`` (branches); ``A->B, B->A`` (a
    cycle);
    ``A+B->C``; ``A->0`` (what is not seen any more). A name that returns within one chain, as in ``M->D->M``, is a
    state of its own, M', that scatters as the first did: what started the reaction is not there a second time. ``A->B
    (avrami)`` and
    ``A->B (stretched)`` have the conversion 1 - exp(-(k t)^n); ``finke-watzky`` stands for ``A->B, A+B->2B``. Rate
    constants are k1, k2 ... in the order of the arrows, k-1 the way back of the first.

    Raises
    ------
    InputError
        The text is no scheme; one line that shows the place.

    References
    ----------
    Avrami, J. Chem. Phys. 7, 1103 (1939), eq. for the transformed fraction; Watzky & Finke, J. Am. Chem. Soc. 119,
    10382 (1997), A->B and A+B->2B.
    """
    body = _NAMED.get(text.strip().lower(), text)
    law, body = _law_of(body)
    reader = _Reader(body)
    reader.read()
    if law != "mass action" and not (len(reader.steps) == 1 and _is_simple(*reader.steps[0][:2])):
        raise fault(text, 0, f"one step A->B where the law is {law}", "leave the law out, or all steps but one")
    return _scheme(text.strip(), reader.steps, reader.alike, law)


def _law_of(text: str) -> tuple[Law, str]:
    """Law in brackets at the end, and the text before it."""
    match = _LAW.search(text)
    if match is None:
        return "mass action", text
    law = _LAWS.get(match.group(1).lower())
    if law is None:
        raise fault(text, match.start(), "(avrami) or (stretched)", "leave the brackets out for mass action")
    return law, text[: match.start()]


def _is_simple(left: _Side, right: _Side) -> bool:
    """Whether one molecule becomes one other."""
    return len(left) == len(right) == 1 and left[0][1] == right[0][1] == 1


class _Reader:
    """Reads chains of arrows, token by token."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.left = tokens_of(text)
        self.steps: list[tuple[_Side, _Side, str, int]] = []  # from, to, arrow, its place
        self.alike: dict[str, str] = {}  # a state's name: the species that it scatters as

    def read(self) -> None:
        """Read all chains."""
        if not self.left:
            raise fault(self.text, 0, "at least one step", "write for example A->B")
        self._chain()
        while self.left:
            self._take(END_OF_CHAIN)
            if self.left:
                self._chain()

    def _chain(self) -> None:
        """Sides joined by arrows, up to a comma."""
        start = self._place()
        side = self._side(set())
        passed = {name for name, _ in side}
        count = 0
        while self.left and self.left[0].kind in (ONE_WAY, BOTH_WAYS):
            arrow = self.left.pop(0)
            place = self._place()
            following = self._side(passed if arrow.kind == ONE_WAY else set())
            if self._plain(following) == self._plain(side):
                raise fault(self.text, place, "another state than before the arrow", "leave this step out")
            self.steps.append((side, following, arrow.kind, arrow.place))
            side, count = following, count + 1
            passed |= {name for name, _ in side}
        if not count:
            place = self._place() if self.left else max(start, len(self.text))
            raise fault(self.text, place, "an arrow, -> or <->", "write for example A->B")

    def _plain(self, side: _Side) -> list[tuple[str, int]]:
        """A side with each state under the name that it scatters as."""
        return sorted((self.alike.get(name, name), count) for name, count in side)

    def _side(self, passed: set[str]) -> _Side:
        """States joined by '+'; a single one whose name has passed in this chain becomes a state of its own."""
        found: dict[str, int] = {}
        while True:
            name, molecules = self._amount()
            found[name] = found.get(name, 0) + molecules
            if not (self.left and self.left[0].kind == PLUS):
                break
            self.left.pop(0)
        ((name, molecules),) = found.items() if len(found) == 1 else (("", 0),)
        if name and name in passed and molecules == 1 and name != NOT_SEEN:
            return ((self._returned(name, passed), 1),)
        return tuple(found.items())

    def _returned(self, name: str, passed: set[str]) -> str:
        """Name of a state that scatters as one before it."""
        later = name + "'"
        while later in passed or later in self.alike:
            later += "'"
        self.alike[later] = self.alike.get(name, name)
        return later

    def _amount(self) -> tuple[str, int]:
        """A state, with a number of molecules before it, if any."""
        if self.left and self.left[0].kind == NUMBER:
            number = self.left.pop(0)
            if int(number.text) == 0:
                return NOT_SEEN, 1
            if int(number.text) > 9:
                raise fault(self.text, number.place, "1 to 9 molecules", "write fewer")
            return self._take(NAME).text, int(number.text)
        return self._take(NAME).text, 1

    def _take(self, kind: str) -> Token:
        """Take the next token, of a kind."""
        words = {NAME: "a species", END_OF_CHAIN: "an arrow, '+', or ',' before another chain"}
        if not self.left or self.left[0].kind != kind:
            raise fault(self.text, self._place(), words[kind], "write for example A->B->C, or 2A<->A2")
        return self.left.pop(0)

    def _place(self) -> int:
        """Where the next token stands."""
        return self.left[0].place if self.left else len(self.text)


def _scheme(text: str, steps: Sequence[tuple[_Side, _Side, str, int]], alike: dict[str, str], law: Law) -> Scheme:
    """Number the states and name the rate constants."""
    states = list(dict.fromkeys(name for left, right, *_ in steps for name, _ in (*left, *right)))
    if states[0] == NOT_SEEN:
        raise fault(text, 0, "a species that is seen before the first arrow", "write for example A->0")
    for name in states:  # a prime that the user wrote: M' scatters as M where there is an M
        plain = name.rstrip("'")
        if name not in alike and plain != name and plain in states:
            alike[name] = plain
    species = [name for name in states if name != NOT_SEEN and name not in alike]
    of_state = tuple(species.index(alike.get(name, name)) if name != NOT_SEEN else -1 for name in states)
    reactions: list[Reaction] = []
    for number, (left, right, arrow, _) in enumerate(steps, 1):
        sides = [tuple((states.index(name), count) for name, count in side) for side in (left, right)]
        name = "k" if law != "mass action" else f"k{number}"
        reactions.append(Reaction(sides[0], sides[1], name))
        if arrow == BOTH_WAYS:
            reactions.append(Reaction(sides[1], sides[0], f"k-{number}"))
    if law != "mass action" and len(reactions) > 1:
        raise fault(text, steps[0][3], f"-> where the law is {law}", "write A->B")
    parameters = [one.parameter for one in reactions] + (["n"] if law != "mass action" else [])
    return Scheme(text, tuple(states), tuple(species), of_state, tuple(reactions), tuple(parameters), law)
