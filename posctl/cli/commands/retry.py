"""`posctl retry`: resend open payments with their own request_id and payload."""

from typing import TYPE_CHECKING, Annotated, NamedTuple

import typer

from posctl.cli.find import find, latest, named
from posctl.cli.framework import Command, new_app
from posctl.cli.run import Run
from posctl.cli.several import Several, tell_several
from posctl.cli.tell import tell
from posctl.errors import PosctlError, UsageError
from posctl.hint import Say, Type
from posctl.messages import _
from posctl.money.admit import Block, may_resend
from posctl.money.outcome import Exit, Outcome
from posctl.money.record import Merchant, Payment, Try
from posctl.times import seconds_in

if TYPE_CHECKING:
    from posctl.money.result import Result

app = new_app()


class RetryOptions(NamedTuple):
    """Which open payments; exactly one way of naming them."""

    request_ids: tuple[str, ...]
    checkout: str | None
    last: bool
    all: bool
    due: bool
    wait_s: float | None
    yes: bool
    dry_run: bool


@app.command(
    cls=Command,
    help=_(
        "Resend open payments with their own request_id and payload, so that nobody is charged "
        "twice. A payment older than 15 minutes is never resent by --due, one older than 24 hours "
        "never at all: nobody says for how long the gateway remembers a request_id, and a repeat "
        "after that charges again. Then ask the platform (posctl status) and close it with "
        "posctl resolve."
    ),
    epilog="posctl retry --last\nposctl retry --checkout 111 --wait 60\n"
    "posctl retry --all\nposctl retry --due --json",
)
def retry(
    ctx: typer.Context,
    request_ids: Annotated[
        list[str] | None, typer.Argument(metavar="[ID]…", hidden=True, show_default=False)
    ] = None,
    checkout: Annotated[
        str | None, typer.Option(help=_("The open payment of this checkout_id."), metavar="ID")
    ] = None,
    last: Annotated[
        bool, typer.Option("--last", help=_("The latest payment of this till."))
    ] = False,
    every: Annotated[bool, typer.Option("--all", help=_("All open payments."))] = False,
    due: Annotated[
        bool,
        typer.Option(
            "--due", help=_("Those due for another try, at most 15 minutes old (for cron).")
        ),
    ] = False,
    wait: Annotated[
        str | None,
        typer.Option(help=_("Go on asking while it is open."), metavar="SECONDS"),
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help=_("Answer confirmations with yes."))] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help=_("Say what would be sent; send nothing."))
    ] = False,
) -> int:
    ways = [bool(request_ids), checkout is not None, last, every, due]
    if ways.count(True) != 1:
        raise UsageError(
            "which",
            _("Say which payment: an ID, --checkout, --last, --all or --due."),
            (Say(_("See what is open:")), Type(("pending",))),
        )
    wait_s = None if wait is None else seconds_in(wait, "--wait")
    if wait_s is not None and (every or due or len(request_ids or ()) > 1):
        raise UsageError("wait_for_one", _("--wait is for one payment."))
    options = RetryOptions(
        request_ids=tuple(request_ids or ()),
        checkout=checkout,
        last=last,
        all=every,
        due=due,
        wait_s=wait_s,
        yes=yes,
        dry_run=dry_run,
    )
    return retry_run(options, ctx.obj)


def retry_run(options: RetryOptions, run: Run) -> Exit:
    """The whole behaviour of `retry`, without the framework."""
    if options.dry_run:
        return _dry_run(options, run)
    run.interrupts.install()
    if options.due:
        return _due(options, run)
    if options.all or len(options.request_ids) > 1:
        return _several(options, run)
    from posctl.paying.pay import retry as retry_one

    payment = _one(options, run)
    if payment is None:  # nothing open under that name
        return tell_several(Several(run.load().profile), run)
    desk = run.desk()
    run.banner()
    patience = run.patience(options.wait_s)
    waived = frozenset({Block.CUSTOMER_GONE, Block.RESTORED} if options.yes else ())
    result = retry_one(payment, desk, waived, patience)
    while answered := _answered(result, run):
        waived |= {answered}
        result = retry_one(payment, desk, waived, patience)
    return tell(result, "retry", run)


def _answered(result: "Result", run: Run) -> Block | None:
    """The block that a person at the terminal answers for, if any."""
    if result.outcome is not Outcome.BLOCKED or result.problem is None or not run.can_ask():
        return None
    questions = {
        Block.CUSTOMER_GONE: _("Is the customer still here?"),
        Block.RESTORED: _("Are you sure that nobody has settled this payment since? Send it?"),
    }
    for block, question in questions.items():
        if result.problem.code == block:
            return block if run.confirm(question) else None
    return None


def _one(options: RetryOptions, run: Run) -> Payment | None:
    """The one payment that is meant; None when nothing is open. Raises UsageError."""
    if options.request_ids:
        return find(options.request_ids[0], run)
    if options.last:
        return _last(run)
    found = [
        p
        for p in run.own_journal().open_payments(_merchant(run))
        if p.checkout.checkout_id == options.checkout
    ]
    if len(found) > 1:
        raise UsageError(
            "which",
            _("Several shops have an open checkout {checkout}.").format(checkout=options.checkout),
            (Say(_("Name the payment:")), Type(("retry", "REQUEST_ID"))),
        )
    return found[0] if found else None


def _last(run: Run) -> Payment | None:
    """The latest payment of this till. Raises UsageError when it is closed and another is open:
    that one is more likely meant, and its customer must not be told of the other's "paid".
    """
    payment = latest(run)
    if payment is None or payment.open:
        return payment
    mine = (payment.machine_id, payment.checkout.shop_id)
    waiting = [
        one
        for one in run.journal().open_payments(payment.checkout.merchant)
        if (one.machine_id, one.checkout.shop_id) == mine
    ]
    if waiting:
        raise UsageError(
            "which",
            _("The latest payment is closed, and an earlier one is open. Which one is meant?"),
            (
                *(Say(_("The latest:")), Type(("show", payment.request_id))),
                *(Say(_("The open one:")), Type(("retry", waiting[-1].request_id))),
            ),
        )
    return payment


def _due(options: RetryOptions, run: Run) -> Exit:
    """A sweep that runs by itself; never two at once."""
    from posctl.cli.watchers import tell_watchers

    if not run.own_journal().hold_sweep():
        run.screen.aside(_("Another posctl retry --due is running; this one does nothing."))
        return tell_several(Several(run.load().profile), run)
    code = _several(options, run)
    tell_watchers(run)
    return code


def _several(options: RetryOptions, run: Run) -> Exit:
    import time

    from posctl.paying.many import Watch
    from posctl.paying.retries import Sweep, sweep

    for one in options.request_ids:
        named(one)
    several = Several(run.load().profile)
    request_ids = _which(options, run)
    if not request_ids:
        return tell_several(several, run)
    how = Sweep(
        desk=run.desk(),
        waived=frozenset({Block.CUSTOMER_GONE} if options.yes else ()),
        automatic=options.due,
        watch=Watch(time.monotonic, run.screen.stopping),
    )
    run.banner()
    stopped: PosctlError | None = None
    try:
        for result in run.screen.progress(sweep(request_ids, how), len(request_ids)):
            several.add(result)
    except PosctlError as error:
        stopped = error
    except Exception as bug:  # noqa: BLE001  payments may be on their way
        from posctl.paying.desk import after_sending

        see = (Say(_("See what is open:")), Type(("pending",)))
        stopped = after_sending("", see)
        stopped.__cause__ = bug
    if stopped is not None and several.empty:
        raise stopped
    # What cron saw nobody has read: the next same `pay` tells it.
    return tell_several(several, run, stopped=stopped, read=not options.due)


def _dry_run(options: RetryOptions, run: Run) -> Exit:
    """What would be sent, as the journal stands now."""
    from posctl.money.advice import amount
    from posctl.money.result import iso, payment_json
    from posctl.screen.brush import draw_pairs
    from posctl.screen.contract import envelope
    from posctl.screen.screen import View

    journal = run.own_journal()
    if options.due or options.all or len(options.request_ids) > 1:
        found = [journal.payment(request_id) for request_id in _which(options, run)]
    else:
        found = [_one(options, run)]
    refused = [(one, _refused(one, options, run)) for one in found if one is not None]
    data = envelope(
        "retry",
        Exit.OK,
        dry_run=True,
        at=iso(run.now_ms()),
        payments=[payment_json(one) | {"refused": why} for one, why in refused],
    )
    pairs = [
        (
            one.request_id,
            f"{one.checkout.checkout_id} · {amount(one.pay_fee)} · "
            + (why or _("would be sent again")),
        )
        for one, why in refused
    ]
    run.screen.show(View(data, lambda canvas: draw_pairs(canvas, pairs)))
    run.screen.note(_("Nothing was sent."))
    return Exit.OK


def _refused(payment: Payment, options: RetryOptions, run: Run) -> str | None:
    """Why `retry` would not send it now, in words."""
    from posctl.money.advice import blocked

    if not payment.open:
        return _("it is closed: its outcome would be told again")
    waived = frozenset({Block.CUSTOMER_GONE, Block.RESTORED} if options.yes else ())
    if options.all or len(options.request_ids) > 1:
        waived -= {Block.RESTORED}
    block = may_resend(payment, run.now_ms(), waived, automatic=options.due)
    if payment.checkout.merchant != _merchant(run):
        block = Block.OTHER_PROFILE
    sender = None if block else _sender(payment, run)
    if sender:
        block = Block.HELD
    if block is None:
        return None
    return blocked(block, payment, sender, None, run.load().profiles).message


def _sender(payment: Payment, run: Run) -> Try | None:
    """The try that another process is at, if one is. What has an end nobody is sending."""
    journal = run.own_journal()
    last = journal.last_try(payment)
    if last is None or last.end is not None:
        return None
    if not journal.transact(lambda tx: tx.hold(payment)):
        return last
    journal.let_go(payment)  # it was stopped
    return None


def _which(options: RetryOptions, run: Run) -> list[str]:
    """The request_ids of the payments that are meant. Raises UsageError, JournalError."""
    from posctl.paying.retries import due_at_ms

    if options.request_ids:
        return list(dict.fromkeys(find(one, run).request_id for one in options.request_ids))
    journal = run.own_journal()
    payments = journal.open_payments(_merchant(run))
    if not options.due:
        return [payment.request_id for payment in payments]
    now_ms = run.now_ms()
    return [
        payment.request_id
        for payment in payments
        if may_resend(payment, now_ms, automatic=True) is None
        and due_at_ms(payment, journal.last_try(payment)) <= now_ms
    ]


def _merchant(run: Run) -> Merchant:
    profile = run.load().profile
    return profile.merchant
