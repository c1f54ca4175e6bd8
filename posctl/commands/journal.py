"""`posctl journal`: the journal is begun, and cared for while tills are working."""

import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from posctl.command import Command, Group, new_app
from posctl.errors import UsageError
from posctl.hint import Say, Type, said
from posctl.messages import _
from posctl.outcome import Exit
from posctl.profiles import DEFAULT_TIMEOUT, journal_path, journal_place
from posctl.result import Problem, alarm_json, iso, payment_json, problem_json, try_json
from posctl.run import Run
from posctl.screen import View, draw_pairs, plain

if TYPE_CHECKING:
    from posctl.journal.care import Closed, Examined, Loss

MAX_DAYS = 36_500
DAY_MS = 24 * 3_600_000

app = new_app(
    cls=Group,
    no_args_is_help=True,
    help=_(
        "Begin, check, back up, restore, prune and copy the journal; tills may be working "
        "meanwhile."
    ),
    epilog="posctl journal check\nposctl journal backup /mnt/backup/journal-2026-01-31.db",
)


@app.command(
    cls=Command,
    help=_(
        "Begin a journal where the configuration says, for real money: payments never begin one. "
        "One that is there already is kept, and checked. Only where posctl was never used before: "
        "what another journal has seen charged, a new one does not know."
    ),
    epilog="posctl journal create\nposctl --config /etc/posctl/config.yaml journal create",
)
def create(ctx: typer.Context) -> int:
    run: Run = ctx.obj
    from posctl.journal.choose import open_journal  # noqa: PLC0415  loads SQLite
    from posctl.journal.look import look_at  # noqa: PLC0415  as above
    from posctl.secret import masked_url  # noqa: PLC0415  as above

    place = journal_place(run.globals.config, run.environ)
    is_new = look_at(place) is None
    if is_new:
        open_journal(place, DEFAULT_TIMEOUT.total_s, begin=True).close()
    health = look_at(place)
    _show(
        run,
        None,
        path=masked_url(place),
        created=is_new,
        payments=health.payments if health else 0,
        open=health.open if health else 0,
    )
    words = _("√ The journal is begun: {path}") if is_new else _("√ It is there, and whole: {path}")
    run.screen.note(words.format(path=masked_url(place)))
    return Exit.OK


@app.command(
    cls=Command,
    help=_("Read the whole journal and check that nothing in it contradicts itself; else exit 31."),
    epilog="posctl journal check\nposctl journal check --json",
)
def check(ctx: typer.Context) -> int:
    run: Run = ctx.obj
    from posctl.journal.care import examine, unsound  # noqa: PLC0415  loads SQLite
    from posctl.journal.look import look_at  # noqa: PLC0415  as above

    path = _path(run)
    examined = examine(path)
    if not examined.findings:
        look_at(str(path))  # what stands beside it: a backup has none, the journal must
    problem = None
    if examined.findings:
        error = unsound(path, examined.findings)
        problem = Problem(error.kind, error.code, error.message, error.hint)
    found = [{"code": finding.code, "text": finding.text} for finding in examined.findings]
    _show(run, problem, Exit.JOURNAL, path=str(path), **_counts(examined), findings=found)
    return Exit.JOURNAL if problem else Exit.OK


@app.command(
    cls=Command,
    help=_(
        "Copy the journal as it is at this moment into a new file, and check the copy. Nothing is "
        "overwritten. Payments that are open keep their codes in it: keep it as safe as the "
        "journal."
    ),
    epilog="posctl journal backup /mnt/backup/journal-2026-01-31.db",
)
def backup(
    ctx: typer.Context, file: Annotated[str, typer.Argument(metavar="FILE", hidden=True)]
) -> int:
    run: Run = ctx.obj
    from posctl.journal.care import back_up  # noqa: PLC0415  loads SQLite

    path, target = _path(run), Path(file)
    examined = back_up(path, target)
    _show(run, None, path=str(path), file=str(target), **_counts(examined))
    return Exit.OK


@app.command(
    cls=Command,
    help=_(
        "Put a backup in the place of the journal, which is kept aside. When the journal has "
        "payments that the backup does not know, they are listed first, and --yes is needed. What "
        "was paid after the backup was made, posctl then does not know: look at the platform's "
        "console before such a checkout is paid again."
    ),
    epilog="posctl journal restore /mnt/backup/journal-2026-01-31.db",
)
def restore(
    ctx: typer.Context,
    file: Annotated[str, typer.Argument(metavar="FILE", hidden=True)],
    yes: Annotated[bool, typer.Option("--yes", help=_("Lose what is listed."))] = False,
) -> int:
    run: Run = ctx.obj
    from posctl.journal.care import losses  # noqa: PLC0415  loads SQLite
    from posctl.journal.care import restore as put_back  # noqa: PLC0415  as above

    path, kept = _path(run), Path(file).resolve()
    if path.exists() and kept.exists() and path.samefile(kept):
        raise UsageError("same_file", _("{path} is the journal itself.").format(path=file))
    lost = losses(path, kept)
    for loss in lost:
        run.screen.note(_loss_line(loss))
    if lost and not yes and not (run.can_ask() and run.confirm(_("Lose these payments?"))):
        problem = Problem(
            "usage",
            "would_lose",
            _("The journal has payments that the backup does not know: {count}.").format(
                count=len(lost)
            ),
            said(_("They would be kept aside, but not protected from a second charge: --yes")),
        )
        _show(run, problem, Exit.USAGE, path=str(path), file=str(kept), lost=_lost(lost))
        return Exit.USAGE
    done = put_back(path, kept, lost, run.now_s())
    _show(
        run,
        None,
        path=str(path),
        file=str(kept),
        kept_aside=str(done.kept_aside) if done.kept_aside else None,
        **_counts(done.examined),
        lost=_lost(done.losses),
    )
    _warn_of_an_old_backup(done.examined, run)
    return Exit.OK


@app.command(
    cls=Command,
    help=_(
        "Use a journal that posctl refuses as older, as another one, as moved or as another "
        "machine's. Only when the right one is lost: what that one has seen charged, this one does "
        "not know. Its open payments are left to a person from then on."
    ),
    epilog="posctl journal adopt\nposctl journal adopt --yes",
)
def adopt(
    ctx: typer.Context,
    yes: Annotated[bool, typer.Option("--yes", help=_("Do it, without a question."))] = False,
) -> int:
    run: Run = ctx.obj
    from posctl.journal.care import adopt as take_over  # noqa: PLC0415  loads SQLite
    from posctl.journal.care import open_in  # noqa: PLC0415  as above

    path = _path(run)
    may_be_charged = open_in(path)
    run.screen.note(
        _(
            "▲ What another copy of this journal has paid may be charged again from here. Look at "
            "the platform's console first."
        )
    )
    for payment in may_be_charged:
        words = _("▲ Open, and perhaps settled elsewhere: checkout {checkout}, {fee} fen")
        run.screen.note(words.format(checkout=payment.checkout.checkout_id, fee=payment.pay_fee))
    question = _("Is the right journal lost, and shall this one be used?")
    if not yes and not (run.can_ask() and run.confirm(question)):
        problem = Problem(
            "usage",
            "not_adopted",
            _("The journal was not adopted."),
            (Say(_("To do it on purpose:")), Type(("journal", "adopt", "--yes"))),
        )
        _show(run, problem, Exit.USAGE, path=str(path), open=len(may_be_charged))
        return Exit.USAGE
    take_over(path)
    _show(run, None, path=str(path), open=len(may_be_charged))
    return Exit.OK


def _warn_of_an_old_backup(examined: "Examined", run: Run) -> None:
    if examined.latest_ms is not None:
        run.screen.note(
            _(
                "▲ What was paid after {when} is not in the journal now. Look at the platform's "
                "console before such a checkout is paid again."
            ).format(when=iso(examined.latest_ms))
        )
    if examined.open:
        words = _("▲ Some payments are open in it: ask about them. See:")
        run.screen.note(words, Type(("pending",)))


@app.command(
    cls=Command,
    help=_(
        "Export the closed payments that are older than so many days, then delete them. Open "
        "payments stay, and checkouts that had anything newer. A request_id that was pruned is "
        "unknown: a script that repeats it pays again."
    ),
    epilog="posctl journal prune --older-than 400 --export payments-2025.jsonl",
)
def prune(
    ctx: typer.Context,
    older_than: Annotated[
        str | None,
        typer.Option("--older-than", help=_("Days since they were closed."), metavar="DAYS"),
    ] = None,
    export: Annotated[
        str | None,
        typer.Option("--export", help=_("A new file, for JSON Lines."), metavar="FILE"),
    ] = None,
) -> int:
    run: Run = ctx.obj
    from posctl.journal.care import prune as prune_older  # noqa: PLC0415  loads SQLite

    days = _days(older_than)
    if export is None:
        raise UsageError("missing_export", _("--export is missing: nothing is deleted unseen."))
    path, file = _path(run), Path(export)
    if file.is_symlink() or file.exists():
        raise _exists_already(file)
    before_ms = int(run.now_s() * 1000) - days * DAY_MS
    pruned = prune_older(path, before_ms, lambda closed: _export(closed, file))
    written = str(file) if pruned.payments else None
    _show(run, None, path=str(path), export=written, **pruned._asdict())
    return Exit.OK


@app.command(
    cls=Command,
    help=_(
        "Copy a whole journal into another one, each a file or a postgresql:// URL: from one "
        "machine into the database of many tills, and back. Open payments come along. Every batch "
        "is read back and compared; a copy that was interrupted is begun again with the same "
        "command. Refused while a payment is being sent, and when both hold a payment that "
        "differs. Afterwards use the copy alone."
    ),
    epilog="posctl journal copy ~/.local/state/posctl/journal.db postgresql://till@db/posctl\n"
    "posctl journal copy postgresql://till@db/posctl journal-of-today.db",
)
def copy(
    ctx: typer.Context,
    source: Annotated[str, typer.Argument(metavar="FROM", hidden=True)],
    target: Annotated[str, typer.Argument(metavar="TO", hidden=True)],
) -> int:
    run: Run = ctx.obj
    from posctl.journal.copy import copy as copy_all  # noqa: PLC0415  loads databases
    from posctl.secret import masked_url  # noqa: PLC0415  as above

    copied = copy_all(source, target)
    facts: dict[str, Any] = {"from": masked_url(source), "to": masked_url(target)}
    facts |= copied._asdict()
    facts["states"] = {state: one._asdict() for state, one in copied.states.items()}
    _show(run, None, **facts)
    return Exit.OK


def _days(text: str | None) -> int:
    from posctl.journal.care import KEEP_DAYS  # noqa: PLC0415  loads SQLite

    days = int(text) if text is not None and re.fullmatch(r"[0-9]{1,5}", text) else 0
    if not KEEP_DAYS <= days <= MAX_DAYS:
        raise UsageError(
            "bad_days",
            _("--older-than is a whole number of days, at least {least}.").format(least=KEEP_DAYS),
        )
    return days


def _path(run: Run) -> Path:
    return Path(journal_path(run.globals.config, run.environ))


def _show(run: Run, problem: Problem | None, code: Exit = Exit.OK, **facts: Any) -> None:
    """The result, and on stderr what is wrong with it."""
    data = {
        "posctl": 1,
        "command": "journal",
        "exit_code": int(code if problem else Exit.OK),
        **facts,
        "error": problem_json(problem),
    }
    run.screen.show(View(data, lambda canvas: draw_pairs(canvas, plain(facts))))
    if problem:
        run.screen.problem(problem)


def _counts(examined: "Examined") -> dict[str, Any]:
    latest_ms = examined.latest_ms
    return {
        "schema": examined.schema,
        "payments": examined.payments,
        "open": examined.open,
        "tries": examined.tries,
        "latest_at": None if latest_ms is None else iso(latest_ms),
    }


def _lost(losses: "tuple[Loss, ...]") -> list[dict[str, Any]]:
    return [
        {
            "request_id": loss.request_id,
            "checkout_id": loss.checkout_id,
            "pay_fee": loss.pay_fee,
            "state": loss.state,
            "in_backup": "open" if loss.is_known else None,
        }
        for loss in losses
    ]


def _loss_line(loss: "Loss") -> str:
    what = _("closed since the backup") if loss.is_known else _("not in the backup")
    return f"{loss.request_id}  {loss.checkout_id}  {loss.pay_fee}  {loss.state}  {what}"


def _export(closed: "Iterator[Closed]", file: Path) -> None:
    """One JSON object a line: the payment, its tries, its alarms. On the disk when it returns."""
    try:
        fd = os.open(file, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
        with os.fdopen(fd, "w", encoding="utf-8") as opened:
            for one in closed:
                opened.write(json.dumps(_closed_json(one), ensure_ascii=False) + "\n")
            opened.flush()
            os.fsync(fd)
    except FileExistsError:
        raise _exists_already(file) from None
    except OSError as error:
        raise UsageError(
            "bad_file",
            _("{path} cannot be written: {why}.").format(path=file, why=error.strerror),
        ) from None


def _closed_json(one: "Closed") -> dict[str, Any]:
    payment = one.payment
    return payment_json(payment) | {
        "merchant": payment.checkout.merchant_name,
        "gateway": payment.gateway,
        "app_key": payment.app_key,
        "pay_request": json.loads(payment.pay_request),
        "warnings": list(payment.warnings),
        "tries": [try_json(attempt) for attempt in one.tries],
        "alarms": [
            alarm_json(alarm)
            | {
                "acknowledged_by": alarm.acknowledged_by,
                "acknowledged_at": iso(alarm.acknowledged_ms) if alarm.acknowledged_ms else None,
            }
            for alarm in one.alarms
        ],
    }


def _exists_already(file: Path) -> UsageError:
    return UsageError(
        "file_exists",
        _("{path} exists, and posctl overwrites nothing.").format(path=file),
        _("Give another name."),
    )
