"""What the till says to the cashier, and what it asks her."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress

from posctl.errors import Busy, JournalError, PosctlError
from posctl.messages import _
from posctl.screen.screen import Screen, View
from posctl.shell import lines_of
from posctl.till.entry import Asks, Entry


class Talk:
    """The screen, the dialogue, and what is done with the answer to the question that is open.

    `status_due` is whether the status line is to be drawn before the next amount is asked for.
    """

    def __init__(self, screen: Screen, entry: Entry) -> None:
        self.entry = entry
        self.status_due = True
        self._screen = screen
        self._on_yes: Callable[[], None] = lambda: None
        self._on_no: Callable[[], None] = lambda: None
        self._on_words: Callable[[str], None] = lambda _text: None
        self._nay = ""
        self._in_sight = ""  # what the open question is about, while it stands right above it
        self._about: tuple[str, Callable[[], str]] = "", str

    def show(self, data: Mapping[str, object], draw: Callable[..., None]) -> bool:
        """Draw a view above the prompt; whether it was written out."""
        self.line("")
        self.status_due = True
        self._in_sight = ""
        return self._screen.show(View(data, draw))

    def head(self) -> None:
        """What the open question is about, again when something was drawn since."""
        about, (first, now) = self.entry.about, self._about
        if about and about != self._in_sight:
            words = about
            if about == first:
                with suppress(JournalError):  # it stands as it was asked: no till ends for that
                    words = now()
            if words:
                self.note(words)
        self._in_sight = about

    def line(self, text: str, *, shorter: Sequence[str] = (), keep: bool = False) -> None:
        """The line that the cashier types in; `keep` leaves it on the screen."""
        self._screen.input_line(text, shorter=shorter, keep=keep)

    def note(self, text: str) -> None:
        """A sentence of its own."""
        self.line(text, keep=True)

    def text(self, text: str) -> None:
        """Something that was laid out already: a receipt."""
        self._screen.line(text)

    def complain(self, error: PosctlError) -> None:
        """An error, and what it advises. Nobody runs a command here to find out what holds it."""
        advised = () if isinstance(error, Busy) else lines_of(error.hint)
        for line in (error.message, *advised):
            self.note(line)
        self.status_due = True

    def confirm(
        self,
        question: str,
        on_yes: Callable[[], None],
        on_no: Callable[[], None] = lambda: None,
        *,
        nay: str = "",
        asks: Asks = Asks.ONCE,
        about: Callable[[], str],
    ) -> None:
        """Ask; what it is `about` stands above it, as it is then: a verdict that is told meanwhile
        may change it. `nay` is said to a no: that nothing was sent, unless it says something else.
        """
        self._on_yes, self._on_no = on_yes, on_no
        self._nay = nay or _("Nothing was sent.")
        self._in_sight, self._about = "", (about(), about)
        self.entry.ask(question, asks, self._about[0])

    def ask_words(
        self, question: str, on_words: Callable[[str], None], *, about: str, if_empty: str
    ) -> None:
        """Ask for words; `if_empty` is said to none."""
        self._on_words = on_words
        self._in_sight = ""
        self.entry.ask_words(question, about, if_empty)

    def yes(self) -> None:
        """The question was answered with yes."""
        self._on_yes()

    def no(self) -> None:
        """The question was answered with no."""
        self.note(self._nay)
        self._on_no()

    def words(self, text: str) -> None:
        """The question for words was answered."""
        self._on_words(text)
