"""Imports without the work that nobody needs, and without anybody noticing."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import faultserver
import pytest
from conftest import Shop

from posctl import startup as light


def in_new_process(script: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.mark.parametrize("name", sorted(light._PATIENT))
def test_patterns_that_wait_are_asked_themselves(name: str) -> None:
    """No module whose patterns wait hands one to a function of `re`, which would refuse it."""
    spec = find_spec(name)
    assert spec is not None
    assert spec.origin is not None
    tree = ast.parse(Path(spec.origin).read_bytes())
    compiled = {
        target.id
        for node in ast.walk(tree)
        if isinstance(node, ast.Assign)
        and any(
            isinstance(part, ast.Attribute) and part.attr == "compile"
            for part in ast.walk(node.value)
        )
        for target in node.targets
        if isinstance(target, ast.Name)
    }
    handed = [
        argument
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and isinstance(node.func.value, ast.Name)
        and node.func.value.id in ("re", "_re")
        and node.func.attr != "compile"
        for argument in node.args[:1]
    ]
    names = {getattr(argument, "id", getattr(argument, "attr", None)) for argument in handed}
    assert names & compiled == set()


def test_a_pattern_that_waited_is_the_same_pattern() -> None:
    """A pattern that waited matches as it would have, and is compiled once."""
    waited = light._Pattern(r"(\d+)-(\w)", re.IGNORECASE)
    assert waited.fullmatch("12-A").groups() == ("12", "A")
    assert waited.sub("x", "1-a 2-b") == "x x"
    assert (waited.pattern, waited.groups) == (r"(\d+)-(\w)", 2)
    assert waited.flags & re.IGNORECASE
    assert waited.fullmatch.__self__ is waited.sub.__self__


def test_outside_nothing_is_changed() -> None:
    """Once the imports are done, `re.compile` compiles and every module can be imported."""
    script = """
import re
plain = re.compile
from posctl.startup import light_imports
with light_imports(), light_imports():
    import typer
assert re.compile is plain
import bz2, lzma, subprocess, charset_normalizer
print(type(subprocess).__name__, bz2.decompress(bz2.compress(b"1")))
"""
    assert in_new_process(script) == "module b'1'"


def test_a_module_that_waits_is_there_when_it_is_used() -> None:
    """Whoever imported a module lightly gets the real one's functions when it calls them."""
    script = """
from posctl.startup import light_imports
with light_imports():
    import ipaddress, platform, shutil, subprocess, sys
    import typer
    at_once = {"_posixsubprocess", "selectors"} & set(sys.modules)
assert not at_once, at_once
assert ipaddress.ip_address("::1").is_loopback
told = platform.system(), platform.machine()
assert shutil.which(sys.executable)
import platform as real, shutil as whole
assert real is not platform and whole.which is shutil.which
assert told == (real.system(), real.machine()) and all(told)
print(real.system(), subprocess.check_output([sys.executable, "-c", "print(1)"]).decode())
"""
    assert in_new_process(script).split()[1] == "1"


def test_a_module_that_waits_has_its_own_modules() -> None:
    """An import hook of somebody's that imports one of them finds it, and the whole later."""
    script = """
from posctl.startup import light_imports
with light_imports():
    import importlib.metadata._meta
    import requests
from importlib.metadata import version
print(version("requests") == requests.__version__)
"""
    assert in_new_process(script) == "True"


def test_an_import_that_fails_changes_nothing() -> None:
    """An ImportError, too, leaves everything as it was."""
    before = dict(sys.modules)
    with pytest.raises(ImportError), light.light_imports():
        import posctl_has_no_such_module  # type: ignore[import-not-found]  # noqa: F401, PLC0415
    assert re.compile is light._compile
    assert [n for n in sys.modules if sys.modules[n] is None and n not in before] == []
    assert sys.modules["subprocess"] is before["subprocess"]


def test_yaml_imported_lightly_reads_yaml() -> None:
    """PyYAML imported lightly reads as ever, dates and floats included."""
    script = """
from posctl.startup import light_imports
with light_imports():
    import yaml
assert yaml.safe_load("a: 2026-11-25\\nb: 1.5\\nc: yes") == {
    "a": __import__("datetime").date(2026, 11, 25), "b": 1.5, "c": True}
try:
    yaml.load("a: \\x01", Loader=yaml.SafeLoader)
except yaml.YAMLError:
    print("refused")
"""
    assert in_new_process(script) == "refused"


ARMED = """
import os, sys
import posctl.startup as light
from posctl.cli.app import run
from posctl.gateway.connection import Connection
armed, made = [], []
def make(self, *given, really=light._Pattern.__init__):
    made.append(self)
    really(self, *given)
light._Pattern.__init__ = make
for stand_in in (light._Pattern, light._Later):
    def ask(self, name, really=stand_in.__getattr__):
        if armed and not name.startswith("__"):
            os.write(2, f"a stand-in was asked for {name}".encode())
            os._exit(99)
        return really(self, name)
    stand_in.__getattr__ = ask
getresponse = Connection.getresponse
def reading(self):
    armed.append(self)
    return getresponse(self)
Connection.getresponse = reading
code = run(sys.argv[1:], os.environ, sys.stdin, sys.stdout, sys.stderr)
assert armed and made, "nothing was sent, or nothing was put off"
sys.exit(code)
"""
ANSWERS = {
    "paid": (faultserver.answer(faultserver.PAID), 0),
    "gzip": (faultserver.gzipped, 0),
    "refused": (
        faultserver.answer(b'{"error_response":{"code":27,"msg":"Invalid session"}}'),
        12,
    ),
    "xml": (faultserver.answer(b"<error_response><code>27</code></error_response>"), 12),
    "gbk": (faultserver.answer(faultserver.PAID.replace(b"SUCCESS", "成功".encode("gbk"))), 0),
    "page": (faultserver.answer(faultserver.HTML, headers={"Set-Cookie": "a=b"}), 21),
    "redirect": (faultserver.redirect("302 Found", "http://[::1]:9/x"), 21),
    "cut": (faultserver.cut_after_reading, 21),
    "reset": (faultserver.reset_after_reading, 21),
    "garbage": (faultserver.garbage_status, 21),
    "headers": (faultserver.garbage_headers, 21),
    "chunks": (faultserver.broken_chunks, 21),
    "bomb": (faultserver.gzip_bomb(), 21),
}


@pytest.mark.parametrize("how", [(), ("--debug",)], ids=["plain", "debug"])
@pytest.mark.parametrize("name", ANSWERS)
def test_no_stand_in_reads_an_answer(name: str, how: tuple[str, ...], shop: Shop) -> None:
    """From the moment an answer is waited for, nothing that was put off at import is asked."""
    behaviour, expected = ANSWERS[name]
    with faultserver.FaultServer() as gateway:
        gateway.then(behaviour)
        shop.profile(gateway.url)
        paying = ("pay", "--shop", "1", "--fee", "100", "--checkout", "111", "--json", *how)
        done = subprocess.run(
            [sys.executable, "-c", ARMED, *paying],
            env=shop.env,
            cwd=shop.home,
            capture_output=True,
            text=True,
            check=False,
        )
    assert done.returncode == expected, done.stderr
