"""`posctl pay`: take one payment."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import typer

from posctl.cli.framework import Command, new_app
from posctl.cli.run import Run
from posctl.cli.tell import tell
from posctl.errors import UsageError
from posctl.messages import _
from posctl.money import advice
from posctl.money.admit import ANOTHER, Block
from posctl.money.codes import masked
from posctl.money.order import (
    MAX_FILE_BYTES,
    Limits,
    PayRequest,
    check,
    check_given,
    check_scanned,
    not_known,
    read_file,
)
from posctl.money.outcome import Exit, Outcome
from posctl.money.scan import Scan
from posctl.screen.screen import View
from posctl.text import sentences
from posctl.times import seconds_in

if TYPE_CHECKING:
    from posctl.money.result import Result

app = new_app()


class PayOptions(NamedTuple):
    """What the command line said, unchecked. `members` are by API name."""

    members: Mapping[str, str]
    file: str | None
    code_from: str | None  # "stdin", "scan" or None
    wait_s: float | None
    dry_run: bool
    another: bool
    yes: bool

    def __repr__(self) -> str:
        return f"PayOptions({sorted(self.members)})"  # no payment code


def _option(*names: str, help: str, metavar: str = "TEXT") -> Any:  # noqa: A002  typer's word
    return typer.Option(*names, help=help, metavar=metavar, show_default=False)


@app.command(
    cls=Command,
    help=_("Take one payment. Whatever is not given comes from the profile's defaults."),
    epilog="posctl pay --shop 1 --fee 100 --checkout 111\n"
    "posctl pay --fee 100 --checkout 111 --scan --wait 60\n"
    "posctl pay --file order.json --json",
)
def pay(
    ctx: typer.Context,
    shop: Annotated[str | None, _option("--shop", help=_("Shop (shop_id), digits."))] = None,
    fee: Annotated[
        str | None, _option("--fee", help=_("Amount in fen: 100 is ￥1.00."), metavar="FEN")
    ] = None,
    checkout: Annotated[
        str | None, _option("--checkout", help=_("Checkout (checkout_id)."))
    ] = None,
    order: Annotated[
        str | None, _option("--order", help=_("Order (order_id); else the checkout."))
    ] = None,
    operator: Annotated[
        str | None, _option("--operator", help=_("Who takes it (operator_id)."))
    ] = None,
    machine: Annotated[str | None, _option("--machine", help=_("Which till (machine_id)."))] = None,
    buyer: Annotated[str | None, _option("--buyer", help=_("The buyer (buyer_id)."))] = None,
    payer: Annotated[
        str | None, _option("--payer", help=_("The payer (payer_id); else 3."))
    ] = None,
    source: Annotated[str | None, _option("--source", help=_("Business line (source)."))] = None,
    code_source: Annotated[
        str | None, _option("--code-source", help=_("Where the code is from (pay_code_source)."))
    ] = None,
    merchant: Annotated[
        str | None, _option("--merchant", help=_("The merchant (merchant_code)."))
    ] = None,
    alipay_account: Annotated[
        str | None, _option("--alipay-account", help=_("The customer's account (alipay_account)."))
    ] = None,
    attributes: Annotated[
        str | None, _option("--attributes", help=_("Anything else (attributes)."))
    ] = None,
    channel: Annotated[
        str | None, _option("--channel", help=_("Channel (pay_channel); else alipay_facepay_v2."))
    ] = None,
    payment_channel: Annotated[
        str | None, _option("--payment-channel", help=_("Its number (payment_channel); else 1006."))
    ] = None,
    scan: Annotated[
        bool, typer.Option("--scan", help=_("Ask for the payment code, without echo."))
    ] = False,
    code_stdin: Annotated[
        bool, typer.Option("--code-stdin", help=_("Read the payment code from stdin."))
    ] = False,
    code: Annotated[
        str | None, _option("--code", help=_("The payment code; everyone here can see it."))
    ] = None,
    request_id: Annotated[
        str | None, _option("--request-id", help=_("Your own id; the same one pays once."))
    ] = None,
    file: Annotated[
        str | None, _option("--file", help=_("Members as JSON; - is stdin."), metavar="PATH")
    ] = None,
    wait: Annotated[
        str | None,
        _option("--wait", help=_("Go on asking while it is open."), metavar="SECONDS"),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help=_("Show the call; send and record nothing."))
    ] = False,
    another: Annotated[
        bool, typer.Option("--another", help=_("Pay again, or more than is due, on purpose."))
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help=_("Answer confirmations with yes."))] = False,
) -> int:
    run: Run = ctx.obj
    given = {
        "shop_id": shop,
        "pay_fee": fee,
        "checkout_id": checkout,
        "order_id": order,
        "operator_id": operator,
        "machine_id": machine,
        "buyer_id": buyer,
        "payer_id": payer,
        "source": source,
        "pay_code_source": code_source,
        "merchant_code": merchant,
        "alipay_account": alipay_account,
        "attributes": attributes,
        "pay_channel": channel,
        "payment_channel": payment_channel,
        "channel_account": code,
        "request_id": request_id,
    }
    if [scan, code_stdin, code is not None].count(True) > 1:
        raise UsageError("codes", _("Give the payment code in one way: --scan or --code-stdin."))
    if code_stdin and file == "-":
        raise UsageError("stdin_twice", _("--code-stdin and --file - both read stdin."))
    options = PayOptions(
        members={name: value for name, value in given.items() if value is not None},
        file=file,
        code_from="scan" if scan else "stdin" if code_stdin else None,
        wait_s=None if wait is None else seconds_in(wait, "--wait"),
        dry_run=dry_run,
        another=another,
        yes=yes,
    )
    return pay_run(options, run)


def pay_run(options: PayOptions, run: Run) -> Exit:
    """The whole behaviour of `pay`, without the framework."""
    run.interrupts.install()
    order = _order(options, run)
    if options.dry_run:
        return _dry_run(order, run)
    from posctl.paying.pay import pay as pay_one

    desk = run.desk()
    run.banner()
    patience = run.patience(options.wait_s)
    waived = (ANOTHER if options.another else frozenset()) | (
        {Block.CUSTOMER_GONE} if options.yes else frozenset()
    )
    with run.screen.sending(order.pay_fee):
        result = pay_one(order, desk, waived, patience)
    question = _question(result, options, run)
    if question:
        with run.screen.sending(order.pay_fee):
            result = pay_one(order, desk, waived | {question}, patience)
    if "channel_account" in options.members:
        result = result._replace(warnings=(*result.warnings, advice.warning("code_in_argv")))
    return tell(result, "pay", run)


def _order(options: PayOptions, run: Run) -> PayRequest:
    """Flags, file, code and profile as one checked payment. Raises UsageError."""
    file = _file_members(options.file, run) if options.file else {}
    members = dict(options.members)
    check_given(members, file)  # what is mistyped is told before what is not set up
    profile = run.load().profile
    # The rest is checked before a code is asked for: nobody scans for a typo in the amount.
    limits = Limits(profile.max_fee, profile.allow_card_numbers)
    check(members, file, profile.defaults, limits)
    if options.code_from is None:
        return check(members, file, profile.defaults, limits)
    members["channel_account"] = (
        run.scan_code() if options.code_from == "scan" else run.code_from_stdin()
    )
    order = check(members, file, profile.defaults, limits)
    code = members["channel_account"]
    found = check_scanned(code, order.checkout_id, _("The payment code"), limits)
    if found not in (Scan.CODE, Scan.ACCOUNT):
        _confirm_unknown(code, options, run)
    return order


def _confirm_unknown(code: str, options: PayOptions, run: Run) -> None:
    """Ask about what is not known to be a payment code. Raises UsageError when nobody says yes."""
    if options.yes:
        return
    if run.can_ask():
        run.screen.note(not_known(code))
        if run.confirm(_("Send it all the same?")):
            return
    raise UsageError(
        "bad_channel_account",
        sentences(not_known(code), _("Nothing was sent.")),
        _("Scan the customer's payment code. If this is one all the same, add --yes."),
    )


def _file_members(name: str, run: Run) -> Mapping[str, Any]:
    from posctl.cli.named_files import read_in

    return read_file(read_in(name, MAX_FILE_BYTES, run), name)


def _question(result: "Result", options: PayOptions, run: Run) -> Block | None:
    """The block that a person at the terminal has answered for, if any."""
    blocked = result.outcome is Outcome.BLOCKED  # else the code is the platform's own word
    code = result.problem.code if result.problem and blocked else None
    if code not in (Block.REPEAT, Block.CUSTOMER_GONE) or not run.can_ask():
        return None
    questions = {
        Block.REPEAT: _("The same amount was paid a moment ago. Take it once more?"),
        Block.CUSTOMER_GONE: _("Is the customer still here?"),
    }
    return Block(code) if options.yes or run.confirm(questions[Block(code)]) else None


def _dry_run(order: PayRequest, run: Run) -> Exit:
    """Show the call as it would travel; no secret is read, nothing is sent or recorded."""
    import json

    from posctl.cli.run import new_request_id
    from posctl.gateway.top import PAY_METHOD
    from posctl.money.result import Asked, Result, result_json
    from posctl.screen.payments import draw_dry_run

    profile = run.load().profile
    request_id = order.request_id or new_request_id()
    call = {
        "gateway": profile.gateway,
        "method": PAY_METHOD,
        "app_key": profile.app_key,
        "v": "2.0",
        "format": "json",
        "sign_method": profile.sign_method,
        "session": "******" if profile.session else None,
        "timestamp": None,  # timestamp and sign are made when it is sent
        "sign": None,
        "shop_id": order.shop_id,
        "pay_request": json.loads(masked(order.wire(request_id))),
    }
    asked = Asked(
        request_id, order.shop_id, order.checkout_id, str(order.members["order_id"]), order.pay_fee
    )
    data = result_json(Result(Exit.OK, asked=asked), "pay", profile.name, live=profile.live)
    shown = View(data | {"dry_run": True, "call": call}, lambda c: draw_dry_run(c, call))
    run.screen.show(shown)
    return Exit.OK
