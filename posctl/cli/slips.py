"""What people type who know other programs. Loaded for a command that does not exist alone."""

from collections.abc import Iterable
from typing import Any

from posctl.help.explain import REFUND, REFUND_WORDS
from posctl.hint import Hint, Say, Type
from posctl.messages import _
from posctl.text import nearest

# A word, behind that of its group if any → the command lines that may be meant.
_MEANT = {
    "list": ("history", "pending", "config list"),
    "ls": ("history", "pending", "config list"),
    **dict.fromkeys(("log", "logs", "find", "search", "payments", "流水", "列表"), ("history",)),
    **dict.fromkeys(("open", "unpaid", "待确认"), ("pending",)),
    **dict.fromkeys(("charge", "sale", "sell", "collect", "take", "收款", "付款"), ("pay", "till")),
    **dict.fromkeys(("sweep", "resend", "重试"), ("retry --all",)),
    **dict.fromkeys(("query", "ask", "查询"), ("status",)),
    **dict.fromkeys(("close", "shift", "结班", "日结", "交班"), ("report --close",)),
    **dict.fromkeys(("day", "totals", "报表"), ("report",)),
    **dict.fromkeys(("statement", "对账"), ("reconcile",)),
    **dict.fromkeys(("print", "小票"), ("receipt",)),
    **dict.fromkeys(("profile", "profiles"), ("config list",)),
    **dict.fromkeys(("setup", "configure", "install"), ("init",)),
    **dict.fromkeys(("settings", "get", "set", "配置"), ("config show", "config path")),
    **dict.fromkeys(("health", "ping", "test", "检查"), ("doctor",)),
    **dict.fromkeys(("code", "codes", "error", "errors"), ("explain",)),
    **dict.fromkeys(("demo", "practise", "practice", "演练"), ("--profile training till",)),
    **dict.fromkeys(("import", "file"), ("batch",)),
    **dict.fromkeys(("ver", "about", "版本"), ("--version",)),
    "version": ("--version",),
    "man": ("help",),
    "帮助": ("help",),
    "use": ("config use",),
    "serve": ("training serve",),
    **{one: (f"journal {one}",) for one in ("create", "backup", "restore", "prune", "adopt")},
    "copy": ("journal copy",),
    "migrate": ("journal copy",),
    "备份": ("journal backup",),
    "check": ("config check", "journal check", "doctor"),
    "config get": ("config show",),
    "config set": ("config path", "config use"),
    "config edit": ("config path",),
    "config profiles": ("config list",),
    "config add": ("init --add",),
    "journal init": ("journal create",),
    "journal list": ("history",),
    "training start": ("training serve",),
}

# An option → those of posctl's that may be meant: the first that the command has.
_OPTIONS = {
    **dict.fromkeys(("--from", "--start", "--after", "--begin"), ("--since",)),
    **dict.fromkeys(("--to", "--end", "--before"), ("--until",)),
    "--date": ("--day", "--since"),
    "--today": ("--day", "--since"),
    **dict.fromkeys(("--amount", "--price", "--money", "--total"), ("--fee",)),
    **dict.fromkeys(("--till", "--terminal", "--pos"), ("--machine",)),
    **dict.fromkeys(("--store", "--branch"), ("--shop",)),
    **dict.fromkeys(("--cashier", "--user"), ("--operator",)),
    "--status": ("--outcome",),
    "--reason": ("--note",),
    **dict.fromkeys(("--barcode", "--qr", "--payment-code"), ("--code-stdin", "--scan")),
}


def option_meant(option: str, params: Iterable[Any]) -> str | None:
    """The option among a command's `params` that somebody means who types `option`."""
    there = {name for param in params for name in param.opts}
    return next((one for one in _OPTIONS.get(option.lower(), ()) if one in there), None)


def meant(word: str, names: list[str], path: str) -> Hint | None:
    """What to type instead of `word`, which is none of the commands `names` of `path`, as in
    "posctl journal"; None when it could be anything.
    """
    group = path.split()[1:]
    word = word.lower()
    if word in REFUND_WORDS:
        return (Say(_("posctl cannot give money back. What to do:")), Type(("explain", REFUND)))
    lines = [line.split() for line in _MEANT.get(" ".join((*group, word)), ())]
    near = nearest(word, names)
    if not lines and near:
        lines = [[*group, near]]
    return (Say(_("Did you mean:")), *(Type(tuple(line)) for line in lines)) if lines else None
