"""The words that posctl's own errors carry (`error.code`), by the exit code that they come with.
What each is about its message says in full; here stands what the word means.
"""

from __future__ import annotations

from posctl.hint import Type
from posctl.messages import N_
from posctl.money.outcome import Exit

_USAGE = {
    "bad_code": N_("What came in as the payment code is not text."),
    "bad_command_line": N_("The command line has a word or an option too many, or lacks one."),
    "bad_file": N_("A file cannot be read or written, or is of another kind."),
    "bad_lines": N_("Lines of a batch's file cannot be used, so nothing of it was sent."),
    "bad_row": N_("A line of a CSV file has another number of values than its first line."),
    "bad_statement": N_("The statement cannot be read, or is of another kind."),
    "cannot_write": N_("A file or folder that was named cannot be written."),
    "closed": N_("The payment is closed already."),
    "codes": N_("The payment code was given in more than one way."),
    "config_exists": N_("There is a configuration already; posctl overwrites none."),
    "differs": N_("A payment stands otherwise in the journal that is copied to."),
    "file_exists": N_("There is such a file already; posctl overwrites none."),
    "given_twice": N_("One option was given twice, with two values."),
    "journal_is_a_database": N_("The journal is a database: this is for journals in files."),
    "many_codes": N_("More than one payment code came in."),
    "may_charge_again": N_("After this, customers may be charged again: nothing was changed yet."),
    "no_alarm": N_("The payment has no alarm to acknowledge."),
    "no_code": N_("No payment code came in."),
    "no_head": N_("A column of the CSV file has values and no name."),
    "no_journal": N_("There is no such journal."),
    "no_list": N_("The command lists nothing that could be CSV."),
    "no_out": N_("A batch from stdin must be told where its results go."),
    "no_payments": N_("There are no payments."),
    "no_period": N_("The statement does not say of which days it is."),
    "no_stdin": N_("There is nothing on stdin."),
    "no_table": N_("The statement names no columns of an id and an amount that posctl knows."),
    "no_terminal": N_("The command needs a terminal, with a person at it."),
    "no_unit": N_("An amount column does not say whether it is yuan or fen."),
    "not_adopted": N_("The journal was not adopted: nobody said yes."),
    "not_by_hand": N_("The platform's answer closed the payment: that is not corrected by hand."),
    "not_paid": N_("Nothing was paid, so there is no receipt."),
    "not_text": N_("An argument is not text in UTF-8."),
    "note_without_close": N_("A note goes with closing a shift alone."),
    "one_stdout": N_("Two things cannot both be printed to stdout."),
    "only_of_a_span": N_("A shift is not narrowed to a shop, an operator or a till."),
    "open": N_("The payment is open: this is for closed ones."),
    "other_batch": N_("The results file is another batch's."),
    "other_shift": N_("Both journals have closed shifts of the same number, and they differ."),
    "other_time": N_("No line of the statement is of the days that were asked for."),
    "pay_fee_over_max": N_("The amount is more than the profile's max_fee allows."),
    "printer": N_("The printer's command failed: nothing may have been printed."),
    "profile_exists": N_("There is a profile of this name already."),
    "request_id": N_("What was given cannot be the ID of a payment."),
    "request_id_taken": N_(
        "The request_id belongs to another payment, or to this with other values."
    ),
    "same_code": N_("Two lines of the batch have the same payment code: a code pays once."),
    "same_file": N_("The file is the journal itself."),
    "same_id": N_("Two lines of the batch have the same request_id."),
    "same_journal": N_("Both names lead to the same journal."),
    "same_payment": N_("Two lines of the batch have the same checkout and amount."),
    "several": N_("What was given names several payments."),
    "shortened_number": N_("A spreadsheet has shortened or rounded a number, so it is lost."),
    "so_already": N_("The payment stands as this already."),
    "stdin_twice": N_("Two options both read stdin."),
    "sum_row": N_("A line of the file is a sum, not a payment."),
    "unknown_code": N_("posctl has no explanation of this word."),
    "unknown_example": N_("There is no example of this name."),
    "unknown_member": N_("The API knows no member of this name."),
    "unknown_payment": N_("The journal holds no such payment."),
    "unknown_shift": N_("No shift of this number was closed."),
    "wait_for_one": N_("--wait is for one payment."),
    "which": N_("Options leave open what is meant, or exclude each other."),
    "which_shell": N_("The shell is not said, or is none that posctl completes in."),
}
_CONFIG = {
    "bad_value": N_("A key of the configuration has a value that posctl does not take."),
    "ca": N_("The certificates that were named cannot be used."),
    "config": N_("The configuration file cannot be read, or others can read or change it."),
    "config_odd": N_("The configuration is written in a way that posctl does not change."),
    "config_unwritable": N_("The configuration cannot be written."),
    "encoding": N_("The configuration or the secret is not UTF-8."),
    "gateway": N_("The gateway's URL cannot be used."),
    "journal": N_("The journal's URL cannot be used."),
    "max_fee": N_("max_fee of the profile is no amount that posctl takes."),
    "missing_key": N_("A key is missing in the configuration."),
    "no_config": N_("There is no configuration yet."),
    "no_home": N_("The home folder is not known."),
    "no_merchant": N_("A profile with a session needs a merchant."),
    "no_postgres": N_("The journal is a database, and the package psycopg is not installed."),
    "no_profile": N_("No profile is chosen."),
    "other_merchant": N_("The profile pays for another merchant than until now."),
    "proxy": N_("The proxy cannot be used."),
    "relative_journal": N_("The journal's path must be absolute."),
    "repeated_key": N_("A key is set twice in the configuration."),
    "secret": N_("The app secret is not given once, or is no secret."),
    "secret_command": N_("The command that prints the secret failed."),
    "secret_file": N_("The secret's file cannot be read, or others can read or change it."),
    "secret_missing": N_("The variable that should hold the secret is not set."),
    "timeout": N_("A timeout of the profile is none that posctl takes."),
    "training": N_("A key of a training profile makes no sense there."),
    "training_ledger": N_("The training gateway's ledger cannot be used."),
    "training_port": N_("The training gateway's port cannot be used."),
    "unknown_key": N_("The configuration has a key that posctl does not know."),
    "unknown_profile": N_("There is no profile of this name."),
    "yaml": N_("The configuration is not the YAML that posctl reads."),
}
_BLOCKED = {
    "alarms": N_("The shift was not closed: alarms wait to be acknowledged."),
    "batch_at_work": N_("Another batch is writing these results."),
    "in_use": N_("A payment is being sent from this journal at this moment."),
    "not_confirmed": N_("Nobody said yes, so nothing was changed."),
    "open_payments": N_("The shift was not closed: payments are open."),
    "shift_closed": N_("Somebody else has closed the shift meanwhile."),
    "tried_again": N_("The payment was tried again since somebody looked at it."),
    "unreached_payments": N_(
        "The shift was not closed: payments are open that no profile reaches."
    ),
}
_JOURNAL = {
    "copy_full": N_("The disk that the copy goes to is full."),
    "journal_lacks_payments": N_("The batch's results name open payments that the journal lacks."),
    "no_backup": N_("There is no such backup."),
    "results_unwritable": N_("The results file of a batch cannot be written."),
    "shift_altered": N_("A closed shift is not as it was closed."),
}

# What each word is, and the exit code that it comes with.
ERRORS = {
    code: (exit_code, title)
    for exit_code, words in (
        (Exit.USAGE, _USAGE),
        (Exit.CONFIG, _CONFIG),
        (Exit.BLOCKED, _BLOCKED),
        (Exit.JOURNAL, _JOURNAL),
        (Exit.CONFLICT, {"not_matching": N_("The journal and the statement do not match.")}),
        (Exit.INTERRUPTED, {"not_closed": N_("The shift was not closed: nobody said yes.")}),
    )
    for code, title in words.items()
}
# Those that are an exit code by another name.
AS_EXIT = {
    "bug": Exit.BUG,
    "interrupted": Exit.INTERRUPTED,
    "after_sending": Exit.UNKNOWN,
}
# What their exit code says of the money, or what to do, does not hold of these.
MONEY = {
    "not_matching": N_("Comparing moves no money."),
    "printer": N_("What was paid stays paid."),
    "results_unwritable": N_("Payments may have been sent: the journal has every one."),
}
REMEDY = {
    "may_charge_again": (
        N_("Look at the payments that it lists. To do it all the same: the same command, --yes."),
    ),
    "not_adopted": (N_("To do it on purpose:"), Type(("journal", "adopt", "--yes"))),
    "not_matching": (N_("Look at each line that it lists, here and in the platform's console."),),
    "other_merchant": (
        N_("Set merchant in the profile to the one until now, or give the profile another name."),
    ),
    "printer": (N_("Look at the printer. To print it again:"), Type(("receipt", "--last"))),
    "request_id_taken": (
        N_("See whose it is. A new payment needs a request_id of its own:"),
        Type(("show", "REQUEST_ID")),
    ),
    "results_unwritable": (
        N_("Make room, then run the same command again: nobody is charged twice."),
    ),
    "shift_altered": (N_("Compare it with its printed page and with a backup of the journal."),),
}
