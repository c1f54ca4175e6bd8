"""`posctl journal`: the journal is begun, and cared for while tills are working."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import typer

from posctl.cli.framework import Command, Group, new_app
from posctl.cli.run import Run
from posctl.config.profile import DEFAULT_TIMEOUT
from posctl.config.profiles import config_path, journal_path, journal_place
from posctl.errors import UsageError
from posctl.files import place_file, remove, sync, write_draft
from posctl.hint import Say, Type, said
from posctl.messages import _
from posctl.money.outcome import Exit
from posctl.money.result import Problem, alarm_json, iso, payment_json, try_json
from posctl.screen.brush import draw_pairs
from posctl.screen.contract import envelope, plain
from posctl.screen.screen import View
from posctl.text import reason
from posctl.times import DAY_MS

if TYPE_CHECKING:
    from posctl.journal.check import Examined
    from posctl.journal.prune import Closed
    from posctl.journal.unite import Outlook, Unsure

MAX_DAYS = 36_500

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
    return create_run(ctx.obj)


def create_run(run: Run) -> Exit:
    """The whole behaviour of `journal create`, without the framework."""
    from posctl.journal.health import look_at
    from posctl.journal.open import begin_journal
    from posctl.journal.place import masked_url

    place = journal_place(run.globals.config, run.environ)
    is_new = look_at(place, _note(run)) is None
    if is_new:
        begin_journal(place, DEFAULT_TIMEOUT.total_s, _note(run))
    health = look_at(place, _note(run))
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
    return check_run(ctx.obj)


def check_run(run: Run) -> Exit:
    """The whole behaviour of `journal check`, without the framework."""
    from posctl.journal.backup import unsound
    from posctl.journal.check import examine
    from posctl.journal.health import look_at

    path = _path(run)
    examined = examine(path)
    if not examined.findings:
        look_at(str(path))  # what stands beside it: a backup has none, the journal must
    problem = None
    if examined.findings:
        problem = Problem.of(unsound(path, examined.findings))
    found = [{"code": finding.code, "text": finding.text} for finding in examined.findings]
    _show(run, problem, Exit.JOURNAL, path=str(path), **_counts(examined), findings=found)
    return Exit.JOURNAL if problem else Exit.OK


class BackupOptions(NamedTuple):
    """The new file."""

    file: str


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
    return backup_run(BackupOptions(file=file), ctx.obj)


def backup_run(options: BackupOptions, run: Run) -> Exit:
    """The whole behaviour of `journal backup`, without the framework."""
    from posctl.journal.backup import back_up

    path, target = _path(run), Path(options.file)
    examined = back_up(path, target)
    _show(run, None, path=str(path), file=str(target), **_counts(examined))
    return Exit.OK


class RestoreOptions(NamedTuple):
    """The backup; `yes` agrees to what is listed before."""

    file: str
    yes: bool


@app.command(
    cls=Command,
    help=_(
        "Put a backup in the place of the journal, which is kept aside. All that a readable "
        "journal knows is carried over. What is open in the backup, and nobody knows what became "
        "of it, is listed first, needs --yes, and is then for a person: only posctl resolve or "
        "posctl retry REQUEST_ID goes on with it."
    ),
    epilog="posctl journal restore /mnt/backup/journal-2026-01-31.db",
)
def restore(
    ctx: typer.Context,
    file: Annotated[str, typer.Argument(metavar="FILE", hidden=True)],
    yes: Annotated[bool, typer.Option("--yes", help=_("Agree to what is listed."))] = False,
) -> int:
    return restore_run(RestoreOptions(file=file, yes=yes), ctx.obj)


def restore_run(options: RestoreOptions, run: Run) -> Exit:
    """The whole behaviour of `journal restore`, without the framework."""
    from posctl.journal.backup import outlook
    from posctl.journal.backup import restore as put_back

    path, kept = _path(run), Path(options.file).resolve()
    if path.exists() and kept.exists() and path.samefile(kept):
        raise UsageError("same_file", _("{path} is the journal itself.").format(path=options.file))
    ahead = outlook(path, kept)
    if not ahead.sure:
        _tell_of(ahead, run)
        if not options.yes and not (
            run.can_ask() and run.confirm(_("Put the backup in its place?"))
        ):
            problem = Problem(
                "usage",
                "may_charge_again",
                _("After this, customers may be charged again; nothing was changed."),
                said(_("Look at what is listed, then run the same command with --yes.")),
            )
            facts = {"path": str(path), "file": str(kept)} | _outlook_json(ahead)
            _show(run, problem, Exit.USAGE, **facts)
            return Exit.USAGE
    done = put_back(path, kept, ahead, run.now_s(), _note(run))
    _show(
        run,
        None,
        path=str(path),
        file=str(kept),
        kept_aside=str(done.kept_aside) if done.kept_aside else None,
        **_counts(done.examined),
        **_outlook_json(done.outlook),
    )
    _tell_of(done.outlook, run)
    return Exit.OK


class AdoptOptions(NamedTuple):
    """`yes` answers the question."""

    yes: bool


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
    return adopt_run(AdoptOptions(yes=yes), ctx.obj)


def adopt_run(options: AdoptOptions, run: Run) -> Exit:
    """The whole behaviour of `journal adopt`, without the framework."""
    from posctl.journal.open import adopt as take_over
    from posctl.journal.open import lost_from, open_in
    from posctl.journal.place import masked_url

    place = journal_place(run.globals.config, run.environ)
    path, may_be_charged, note = masked_url(place), open_in(place), _note(run)
    lost = lost_from(place, note)
    run.screen.note(
        _(
            "▲ What another copy of this journal has paid may be charged again from here. Look at "
            "the platform's console first."
        )
    )
    for payment in may_be_charged:
        words = _("▲ Open, and perhaps settled elsewhere: checkout {checkout}, {fee} fen")
        run.screen.note(words.format(checkout=payment.checkout.checkout_id, fee=payment.pay_fee))
    for one in lost:
        run.screen.note(one.line())
    facts: dict[str, Any] = {
        "path": path,
        "open": len(may_be_charged),
        "lost": [one.told() for one in lost],
    }
    question = _("Is the right journal lost, and shall this one be used?")
    if not options.yes and not (run.can_ask() and run.confirm(question)):
        problem = Problem(
            "usage",
            "not_adopted",
            _("The journal was not adopted."),
            (Say(_("To do it on purpose:")), Type(("journal", "adopt", "--yes"))),
        )
        _show(run, problem, Exit.USAGE, **facts)
        return Exit.USAGE
    take_over(place, note)
    _show(run, None, **facts)
    return Exit.OK


def _tell_of(outlook: "Outlook", run: Run) -> None:
    """Name every checkout that may be charged again, and what is known of it."""
    for one in outlook.for_person:
        run.screen.note(_unsure_line(one, _("open, for a person")))
    for one in outlook.lost:
        run.screen.note(_unsure_line(one, _("damaged, and not in the backup")))
    if outlook.for_person:
        words = _(
            "▲ Nobody knows what became of those that are for a person. Ask the customer or look "
            "at the platform's console, then:"
        )
        run.screen.note(words, Type(("resolve", "REQUEST_ID")))
    if outlook.unknown:
        run.screen.note(
            _(
                "▲ {count} payments were recorded on this machine that neither the journal nor the "
                "backup knows."
            ).format(count=outlook.unknown)
        )
    if outlook.since_ms is not None and not outlook.whole:
        run.screen.note(
            _(
                "▲ What was paid after {when} is not in the journal. Look at the platform's "
                "console before such a checkout is paid again."
            ).format(when=iso(outlook.since_ms))
        )


class PruneOptions(NamedTuple):
    """How old in days, and the new file for what is deleted."""

    older_than: str | None
    export: str | None
    dry_run: bool


@app.command(
    cls=Command,
    help=_(
        "Export the closed payments that are older than DAYS days, then delete them. Open "
        "payments stay, and so do checkouts that had anything newer. A pruned request_id is "
        "forgotten: a script that repeats it pays again."
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
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help=_("Say how many would be deleted; delete nothing."))
    ] = False,
) -> int:
    options = PruneOptions(older_than=older_than, export=export, dry_run=dry_run)
    return prune_run(options, ctx.obj)


def prune_run(options: PruneOptions, run: Run) -> Exit:
    """The whole behaviour of `journal prune`, without the framework."""
    from posctl.journal.prune import prune as prune_older

    days = _days(options.older_than)
    before_ms = run.now_ms() - days * DAY_MS
    if options.dry_run:
        path = _path(run)
        would = prune_older(path, before_ms, None)
        _show(run, None, path=str(path), export=None, dry_run=True, **would._asdict())
        run.screen.note(_("Nothing was deleted."))
        return Exit.OK
    if options.export is None:
        raise UsageError("missing_export", _("--export is missing: nothing is deleted unseen."))
    path, file = _path(run), Path(options.export)
    if file.is_symlink() or file.exists():
        raise _exists_already(file)
    pruned = prune_older(path, before_ms, lambda closed: _export(closed, file))
    written = str(file) if pruned.payments else None
    _show(run, None, path=str(path), export=written, dry_run=False, **pruned._asdict())
    return Exit.OK


class CopyOptions(NamedTuple):
    """Two journals, each a file or a URL."""

    source: str
    target: str


@app.command(
    cls=Command,
    help=_(
        "Move a whole journal into another one, each a file or a postgresql:// URL: from one "
        "machine into the database of many tills, and back. Open payments come along. Every batch "
        "is read back and compared; a copy that was interrupted is begun again with the same "
        "command. Refused while a payment is being sent, and when both hold a payment that "
        "differs. Afterwards the copy is the journal, and every command on the first one ends "
        "with 31."
    ),
    epilog="posctl journal copy ~/.local/state/posctl/journal.db postgresql://till@db/posctl\n"
    "posctl journal copy postgresql://till@db/posctl /var/lib/posctl/journal.db",
)
def copy(
    ctx: typer.Context,
    source: Annotated[str, typer.Argument(metavar="FROM", hidden=True)],
    target: Annotated[str, typer.Argument(metavar="TO", hidden=True)],
) -> int:
    return copy_run(CopyOptions(source=source, target=target), ctx.obj)


def copy_run(options: CopyOptions, run: Run) -> Exit:
    """The whole behaviour of `journal copy`, without the framework."""
    from posctl.journal.copy import copy as copy_all
    from posctl.journal.place import masked_url

    copied = copy_all(options.source, options.target)
    facts: dict[str, Any] = {"from": masked_url(options.source), "to": masked_url(options.target)}
    facts |= copied._asdict()
    facts["states"] = {state: one._asdict() for state, one in copied.states.items()}
    _show(run, None, **facts)
    return Exit.OK


def _days(text: str | None) -> int:
    from posctl.journal.prune import KEEP_DAYS

    days = int(text) if text is not None and re.fullmatch(r"[0-9]{1,5}", text) else 0
    if not KEEP_DAYS <= days <= MAX_DAYS:
        raise UsageError(
            "bad_days",
            _("--older-than is a whole number of days, at least {least}.").format(least=KEEP_DAYS),
        )
    return days


def _note(run: Run) -> Path | None:
    from posctl.journal.open import note_of

    config, _named = config_path(run.globals.config, run.environ)
    return note_of(config, journal_place(run.globals.config, run.environ), run.environ)


def _path(run: Run) -> Path:
    return Path(journal_path(run.globals.config, run.environ))


def _show(run: Run, problem: Problem | None, code: Exit = Exit.OK, **facts: Any) -> None:
    """The result, and on stderr what is wrong with it."""
    data = envelope("journal", code if problem else Exit.OK, problem, **facts)
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


def _outlook_json(outlook: "Outlook") -> dict[str, Any]:
    since_ms = outlook.since_ms
    return {
        "lost": [one._asdict() | {"in_backup": None} for one in outlook.lost],
        "for_person": [one._asdict() for one in outlook.for_person],
        "carried_over": outlook.carried_over,
        "unknown": outlook.unknown,
        "unknown_since": None if outlook.whole or since_ms is None else iso(since_ms),
    }


def _unsure_line(one: "Unsure", what: str) -> str:
    return f"{one.request_id}  {one.checkout_id}  {one.pay_fee}  {one.state}  {what}"


def _export(closed: "Iterator[Closed]", file: Path) -> None:
    """One JSON object a line: the payment, its tries, its alarms. On the disk when it returns."""
    lines = (json.dumps(_closed_json(one), ensure_ascii=False) for one in closed)
    try:
        draft = write_draft(file, (f"{line}\n".encode() for line in lines))
        try:
            place_file(draft, file)
        finally:
            remove(draft)
        sync(file.parent)
    except FileExistsError:
        raise _exists_already(file) from None
    except OSError as error:
        raise UsageError(
            "bad_file",
            _("{path} cannot be written: {why}.").format(path=file, why=reason(error)),
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
