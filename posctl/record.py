"""Whose a payment is: the two names that everything else is found by."""

from typing import NamedTuple


class Merchant(NamedTuple):
    """Whose money it is: `name` is the profile's `merchant`, or its `app_key`.

    Training never meets live, nor one merchant another. Gateway, session, secret and the profile's
    name are ways to reach a merchant and may change at any time.
    """

    live: bool
    name: str


class Checkout(NamedTuple):
    """What a checkout is known by."""

    live: bool
    merchant_name: str
    shop_id: str
    checkout_id: str

    @property
    def merchant(self) -> Merchant:
        return Merchant(self.live, self.merchant_name)
