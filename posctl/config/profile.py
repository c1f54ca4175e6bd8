"""What a profile is: one merchant at one gateway, with every key checked."""

from collections.abc import Mapping
from pathlib import Path
from typing import Literal, NamedTuple

from posctl.config.secret import Secret
from posctl.gateway.exchange import Timeout
from posctl.money.record import Merchant

TRAINING = "training"


TRAINING_APP_KEY = "training"


TRAINING_SECRET = "training-secret"


DEFAULT_TIMEOUT = Timeout(connect_s=5, read_s=15, total_s=30)


DEFAULT_MAX_FEE = 500_000  # fen


class Receipt(NamedTuple):
    """The lines above and below every receipt, and its columns: 32 (58 mm paper) or 48 (80 mm).

    `printer` is the command that the till gives receipts to, as ESC/POS if `escpos`; `feed` is how
    many empty lines come after it, `drawer` whether the cash drawer opens.
    """

    header: tuple[str, ...] = ()
    footer: tuple[str, ...] = ()
    width: int = 32
    printer: str | None = None
    escpos: bool = False
    feed: int = 0
    drawer: bool = False


class Statement(NamedTuple):
    """The columns of the platform's or the bank's statement; None: those of its usual exports.
    `refund` is one that tells what was given back of a line's amount.

    `amount_unit` is "yuan" or "fen", `encoding` "utf-8" or "gbk".
    """

    id: str | None = None
    amount: str | None = None
    amount_unit: str | None = None
    time: str | None = None
    encoding: str | None = None
    refund: str | None = None


class TillKeys(NamedTuple):
    """What is typed at `posctl till`: the amount in "yuan" or "fen"; the checkout_id, "ask", or
    none, since the till makes one itself, "number".
    """

    amount: str = "yuan"
    checkout: str = "ask"


_NONE: Mapping[str, str] = {}


DEFAULT_RECEIPT = Receipt()


DEFAULT_STATEMENT = Statement()


DEFAULT_TILL = TillKeys()


class Profile(NamedTuple):
    """One merchant at one gateway. `gateway` is a URL, or "training" for the one inside."""

    name: str
    gateway: str
    app_key: str
    secret: Secret
    sign_method: str = "hmac-sha256"
    session: str | None = None
    timeout: Timeout = DEFAULT_TIMEOUT
    max_fee: int = DEFAULT_MAX_FEE
    proxy: str | None = None
    ca: Path | None = None
    defaults: Mapping[str, str] = _NONE
    status_words: Mapping[str, str] = _NONE
    decline_codes: tuple[str, ...] = ()
    allow_card_numbers: bool = False
    receipt: Receipt = DEFAULT_RECEIPT
    statement: Statement = DEFAULT_STATEMENT
    till: TillKeys = DEFAULT_TILL
    merchant_name: str | None = None
    notify_command: tuple[str, ...] = ()
    inherited: tuple[str, ...] = ()  # keys that the file says for every profile, as in timeout.read

    @property
    def merchant(self) -> Merchant:
        """Whose money it is; `merchant` of the profile, else its app_key."""
        return Merchant(self.live, self.merchant_name or self.app_key)

    @property
    def live(self) -> bool:
        """Whether real money moves: not at the training gateway, wherever it runs."""
        return self.app_key != TRAINING_APP_KEY

    def __repr__(self) -> str:
        return f"Profile({self.name})"  # no session, no proxy password, no payment code


ChosenBy = Literal["environment", "configuration", "default"]  # the journal, for every profile


class Loaded(NamedTuple):
    """What is in force: the profile, the journal's path or URL, what was overridden by what."""

    profile: Profile
    journal: str
    path: Path
    warnings: tuple[str, ...]
    chosen_by: ChosenBy
    profiles: tuple[Profile, ...]  # all of the configuration

    def __repr__(self) -> str:
        return f"Loaded({self.profile.name})"  # no password of the journal's


class Config(NamedTuple):
    """A configuration file, every profile in it checked."""

    path: Path
    exists: bool
    default_profile: str | None
    journal: str | None
    profiles: Mapping[str, Profile]

    def __repr__(self) -> str:
        return f"Config({self.path})"  # as above
