"""What stands before the cursor while an amount is asked for, and a key may do instead. Pure."""

from __future__ import annotations

from posctl.messages import _
from posctl.money.order import yuan
from posctl.till.wishes import Offer


def amount_label(unit: str, offer: Offer | None, rest: Offer | None, *, type_it: bool) -> str:
    """`unit` is "yuan" or "fen"; `offer` is what a key takes, `rest` the checkout of which a part
    is paid, with `type_it` only when its amount was typed.
    """
    unit = _("Amount, yuan") if unit == "yuan" else _("Amount, fen")
    if rest is not None:
        words = (
            _("{checkout}: {unit} (at most ￥{yuan}; +: all of it): ")
            if type_it
            else _("{checkout}: {unit} (Enter or scan: ￥{yuan}): ")
        )
        return words.format(checkout=rest.checkout_id, unit=unit, yuan=yuan(rest.pay_fee))
    if offer is None:
        return _("{unit}: ").format(unit=unit)
    taken = f"￥{yuan(offer.pay_fee)} · {offer.checkout_id}"
    if offer.rest:
        return _("{unit} (+: the rest, {taken}): ").format(unit=unit, taken=taken)
    return _("{unit} (Enter: {taken}): ").format(unit=unit, taken=taken)


def shorter_labels(offer: Offer | None, rest: Offer | None, *, type_it: bool) -> list[str]:
    """The same for a narrow terminal, with the checkout where it has room; nothing where it is
    short anyway.
    """
    about = rest or offer
    if about is None:
        return []
    if rest is not None:
        words = (
            _("At most ￥{yuan} (+: all of it): ") if type_it else _("The rest (Enter: ￥{yuan}): ")
        )
    elif about.rest:
        words = _("+: the rest, ￥{yuan}; or amount: ")
    else:
        words = _("Enter: ￥{yuan}; or amount: ")
    text = words.format(yuan=yuan(about.pay_fee))
    return [f"{about.checkout_id} · {text}", text]
