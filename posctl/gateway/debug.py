"""What travels to the gateway and back, told with `--debug`, and always without its secrets."""

from __future__ import annotations

import json
from collections.abc import Callable
from html import escape
from urllib.parse import parse_qsl, quote, quote_plus

from posctl.gateway.exchange import Exchange, Post, Sent
from posctl.money.codes import codes_of, masked, without_codes
from posctl.text import one_line

MIN_SESSION = 8  # characters; a shorter one is no secret, and would be found in any answer
MAX_BODY_SHOWN = 4096  # characters of an answer
_HIDDEN = ("sign", "session")  # who has both can repeat the call


class Discreet:
    """Posts through `gateway`, and masks the session in what comes back: a page on the way that
    shows what it got must not put it into the journal or onto the screen.
    """

    def __init__(self, gateway: Post, session: str) -> None:
        self._gateway = gateway
        spelled = {session, quote(session), quote(session, safe=""), quote_plus(session)}
        spelled |= {json.dumps(session)[1:-1], escape(session)}
        self._spelled = [one.encode() for one in spelled if len(session) >= MIN_SESSION]

    def post(self, form: bytes, sent: Sent) -> Exchange:
        """As the gateway does."""
        exchange = self._gateway.post(form, sent)
        body = exchange.body
        if body is None:
            return exchange
        for one in self._spelled:
            body = body.replace(one, b"******")
        return exchange._replace(body=body)

    def mistrust(self, connection: int) -> None:
        """As the gateway does."""
        self._gateway.mistrust(connection)

    def trusts(self, connection: int) -> bool:
        """As the gateway does."""
        return self._gateway.trusts(connection)


class Narrator:
    """Posts through `gateway` and tells `say` each line of it."""

    def __init__(self, gateway: Post, say: Callable[[str], None]) -> None:
        self._gateway = gateway
        self._say = say

    def post(self, form: bytes, sent: Sent) -> Exchange:
        """As the gateway does, with words."""
        params = dict(parse_qsl(form.decode("ascii")))
        payload = params.get("pay_request")
        codes = codes_of(payload) if payload else ()
        for name, value in params.items():
            shown = "******" if name in _HIDDEN else value
            self._say(f"> {name}={masked(value) if name == 'pay_request' else shown}")
        exchange = self._gateway.post(form, sent)
        self._say(
            f"< {exchange.event or exchange.http_status} {exchange.detail} "
            f"may_have_left={exchange.may_have_left} date={exchange.server_date}"
        )
        if exchange.body is not None:
            body = exchange.body.decode("utf-8", "replace")
            self._say(f"< {one_line(without_codes(body, codes))[:MAX_BODY_SHOWN]}")
        return exchange

    def mistrust(self, connection: int) -> None:
        """As the gateway does, with words."""
        self._say("* connections closed: one gave the answer to another payment")
        self._gateway.mistrust(connection)

    def trusts(self, connection: int) -> bool:
        """As the gateway does."""
        return self._gateway.trusts(connection)
