#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""sockaccelctl in a terminal, and in shells that complete it.

  terminal.py SCENARIO      one of the functions below

SOCKACCELCTL is the program, DBUS_SYSTEM_BUS_ADDRESS the bus of a daemon with the rules redis and web, SOCKACCEL_COMPLETION
the directory of the completions, SOCKACCEL_SCHEMAS that of the JSON schemas. Exit status 0, or a traceback and 1.
"""
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import termios
import time

CTL = os.environ["SOCKACCELCTL"]
PATIENCE = 20  # seconds
ENTER, LEAVE = b"\x1b[?1049h\x1b[?25l", b"\x1b[?25h\x1b[?1049l"


class Terminal:
    """A program in a terminal of its own; `screen` is what one sees there."""

    def __init__(self, arguments, columns=80, rows=24, program=CTL, **environment):
        import pexpect
        import pyte
        self.raw = b""
        self.screen = pyte.Screen(columns, rows)
        self.stream = pyte.ByteStream(self.screen)
        values = {key: value for key, value in os.environ.items() if key not in ("NO_COLOR", "PAGER", "LESS", "SUDO_UID")}
        values.update(TERM="xterm-256color", **environment)
        self.child = pexpect.spawn(program, arguments, dimensions=(rows, columns), env=values, timeout=PATIENCE)
        self.child.delaybeforesend = None
        self.child.ptyproc.delayafterclose = self.child.ptyproc.delayafterterminate = 0

    def read(self):
        import pexpect
        try:
            data = self.child.read_nonblocking(65536, 0.1)
        except pexpect.TIMEOUT:
            return True
        except pexpect.EOF:
            return False
        self.raw += data
        self.stream.feed(data)
        return True

    def wait_for(self, condition, what):
        end = time.monotonic() + PATIENCE
        while not condition(self):
            assert time.monotonic() < end and self.read(), f"{what}, got:\n{self.text()}\n{self.raw!r}"

    def finish(self):
        """Its exit status."""
        end = time.monotonic() + PATIENCE
        while self.read():
            assert time.monotonic() < end, f"does not end:\n{self.text()}"
        self.child.wait()
        return self.child.exitstatus

    def text(self):
        return "\n".join(line.rstrip() for line in self.screen.display).rstrip()


def ctl(*arguments, **environment):
    return subprocess.run([CTL, *arguments], capture_output=True, text=True, timeout=PATIENCE, env={**os.environ, **environment})


def has_rule(terminal):
    return re.search(r"^redis +active", terminal.text(), re.MULTILINE)


def top():
    """Draws in place on a screen of its own, follows the size, and leaves the terminal as it was."""
    def end_by_key(terminal):
        terminal.child.send("q")

    def end_by_interrupt(terminal):
        terminal.child.sendintr()

    def end_by_signal(terminal):
        os.kill(terminal.child.pid, signal.SIGTERM)

    for end in (end_by_key, end_by_interrupt, end_by_signal):
        terminal = Terminal(["top", "-d", "0.2"])
        before = termios.tcgetattr(terminal.child.child_fd)
        terminal.wait_for(has_rule, "shows the rules")
        assert terminal.raw.startswith(ENTER), terminal.raw
        assert termios.tcgetattr(terminal.child.child_fd)[3] & termios.ECHO == 0
        assert "REDIRECTED/s" in terminal.text() and len(terminal.text().splitlines()) < 10, terminal.text()
        looks = terminal.raw.count(b"\x1b[H")
        terminal.wait_for(lambda it: it.raw.count(b"\x1b[H") > looks, "draws again")
        assert terminal.text().count("RULE") == 1, terminal.text()
        end(terminal)
        assert terminal.finish() == 0, terminal.raw
        assert terminal.raw.rstrip(b"^C").endswith(LEAVE), terminal.raw
        assert termios.tcgetattr(terminal.child.child_fd)[3] == before[3], end.__name__


def resize():
    terminal = Terminal(["top", "-d", "0.3"])
    terminal.wait_for(has_rule, "shows the rules")
    assert "WHY TCP" in terminal.text(), terminal.text()
    terminal.screen.resize(24, 40)
    terminal.child.setwinsize(24, 40)
    terminal.wait_for(lambda it: it.screen.display[0].rstrip().endswith("…"), "cuts the first line to 40 columns")
    terminal.child.send("q")
    assert terminal.finish() == 0


def top_without_terminal():
    """Plain lines, as many looks as asked for."""
    outcome = ctl("top", "-n", "2", "-d", "0.1")
    assert outcome.returncode == 0, outcome.stderr
    assert len(re.findall(r"^redis active live=0 redirected=0B/s", outcome.stdout, re.MULTILINE)) == 2, outcome.stdout
    assert "\x1b" not in outcome.stdout
    outcome = ctl("top", "-n", "2", "-d", "0.1", "--rule", "web", "--json")
    looks = [json.loads(line) for line in outcome.stdout.splitlines()]
    assert [[rule["name"] for rule in look["rules"]] for look in looks] == [["web"], ["web"]], outcome.stdout
    assert ctl("top", "-d", "0").returncode == 1


def colors():
    for environment, is_colored in (({}, True), ({"NO_COLOR": "1"}, False)):
        terminal = Terminal(["status"], **environment)
        assert terminal.finish() == 0
        assert (b"\x1b[32musable\x1b[0m" in terminal.raw) == is_colored, terminal.raw
        assert (b"\x1b" in terminal.raw) == is_colored, terminal.raw
    assert "\x1b" not in ctl("status").stdout


def pager():
    """Only what is longer than the terminal, only in a terminal, and not what sudo's caller chose."""
    def is_paged(arguments, rows=5, **environment):
        terminal = Terminal(arguments, rows=rows, **environment)
        status = terminal.finish()
        assert status == 0, terminal.raw
        return b"paged:" in terminal.raw
    own = {"SOCKACCEL_PAGER": "sed s/^/paged:/", "PAGER": "false"}
    assert is_paged(["status"], **own)
    assert is_paged(["status"], PAGER="sed s/^/paged:/")
    assert not is_paged(["status"], rows=50, **own)
    assert not is_paged(["--no-pager", "status"], **own)
    assert not is_paged(["status", "--no-pager"], **own)
    assert not is_paged(["status"], SOCKACCEL_PAGER="")
    assert not is_paged(["status"], SOCKACCEL_PAGER="/nonexistent/pager")
    assert "paged:" not in ctl("status", **own).stdout
    terminal = Terminal(["status"], rows=50, SUDO_UID="1000", **own)
    assert terminal.finish() == 0
    elevated = Terminal(["status"], rows=5, SUDO_UID="1000", SOCKACCEL_PAGER="touch /nonexistent/x; sed s/^/paged:/")
    elevated.wait_for(lambda it: "sockaccel" in it.text(), "pages with less")
    elevated.child.send("q")
    elevated.finish()
    assert b"paged:" not in elevated.raw


def narrow():
    """The views fit their terminal: no line is wrapped."""
    for columns in (80, 140):
        for command in ("status", "rules", "probe", "connections"):
            terminal = Terminal(["--no-pager", command], columns=columns, rows=60)
            assert terminal.finish() == 0
            lines = re.sub(rb"\x1b\[[0-9;]*m", b"", terminal.raw).decode().splitlines()
            table = [line for line in lines if not re.match(r"policy  |.* is (waiting|refused|paused): |this kernel|no covered", line)]
            assert table and max(map(len, table)) <= columns, "\n".join(table)


def bash_values(line):
    """What bash would offer after this line; the last word is what is being written."""
    words = line.split(" ")
    script = f"""
        . /usr/share/bash-completion/bash_completion
        . {os.environ['SOCKACCEL_COMPLETION']}/sockaccelctl.bash
        COMP_WORDS=({' '.join(f"'{word}'" for word in words)}) COMP_CWORD={len(words) - 1}
        COMP_LINE='{line}' COMP_POINT={len(line)} COMP_TYPE=9 COMP_KEY=9
        compopt() {{ :; }}
        _sockaccelctl
        printf '%s\\n' "${{COMPREPLY[@]}}"
    """
    return subprocess.run(["bash", "--norc", "-c", script], capture_output=True, text=True, timeout=PATIENCE,
                          check=True, env=with_path()).stdout.split()


def with_path():
    return {**os.environ, "PATH": f"{os.path.dirname(CTL)}:{os.environ['PATH']}", "LC_ALL": "C.UTF-8"}


def fish_values(line):
    script = f"source {os.environ['SOCKACCEL_COMPLETION']}/sockaccelctl.fish; complete -C '{line}'"
    with tempfile.TemporaryDirectory() as home:
        output = subprocess.run(["fish", "--no-config", "-c", script], capture_output=True, text=True, timeout=PATIENCE,
                                check=True, env={**with_path(), "HOME": home}).stdout
    return [one.split("\t")[0] for one in output.splitlines()]


def expect_completions(values):
    assert values("sockaccelctl pause ") == ["redis", "web"], values("sockaccelctl pause ")
    assert values("sockaccelctl connections --rule w") == ["web"]
    assert values("sockaccelctl rel") == ["reload"]
    assert "connections" in values("sockaccelctl ")
    assert values("sockaccelctl connections --sta") == ["--state"]
    assert values("sockaccelctl monitor --event ") == ["enrolled", "left", "paired"]
    assert "blocking" in values("sockaccelctl connections --reason ")
    assert values("sockaccelctl check --roo") == ["--root"]
    assert "/etc/" in [one.rstrip("/") + "/" for one in values("sockaccelctl check --root /et")]
    assert "/etc/passwd" in values("sockaccelctl check /etc/passw")


def bash():
    expect_completions(bash_values)


def fish():
    expect_completions(fish_values)


def zsh():
    environment = with_path()
    terminal = Terminal(["-f", "-i"], program="zsh", PATH=environment["PATH"], LC_ALL="C.UTF-8", PS1="> ")
    terminal.child.send(f"fpath=({os.environ['SOCKACCEL_COMPLETION']} $fpath); autoload -U compinit; compinit -u -D; "
                        "unsetopt BEEP; clear; echo re''ady\n")
    terminal.wait_for(lambda it: "ready" in it.text(), "starts")
    for line, expected in (("pause re\t", "pause redis"), ("connections --rule w\t", "connections --rule web"), ("rel\t", "reload"),
                           ("connections --sta\t", "connections --state"), ("check /etc/passw\t", "check /etc/passwd")):
        terminal.child.send("sockaccelctl " + line)
        terminal.wait_for(lambda it: f"> sockaccelctl {expected}" in it.text(), f"completes to {expected}")
        terminal.child.send("\x15clear\n")
        terminal.wait_for(lambda it: it.text() in (">", "> "), "clears the line")
    terminal.child.send("sockaccelctl pause \t")
    terminal.wait_for(lambda it: re.search(r"redis.*active", it.text()) and "web" in it.text(), "lists the rules")
    terminal.child.sendintr()
    terminal.child.send("\x15exit\n")
    terminal.finish()


def schemas():
    """Each document that sockaccelctl prints is as docs/schemas says, and the schema knows each of its keys."""
    import jsonschema

    def closed(schema):
        """The same schema, where keys that it does not name are errors."""
        if isinstance(schema, dict):
            schema = {key: closed(value) for key, value in schema.items()}
            if "properties" in schema:
                schema["additionalProperties"] = False
        return [closed(item) for item in schema] if isinstance(schema, list) else schema

    port = os.environ["PORT"]
    seen = set()
    for name, arguments in (("status", ["status"]), ("rules", ["rules"]), ("connections", ["connections"]), ("probe", ["probe"]),
                            ("changes", ["reload"]), ("changes", ["diff"]), ("policy", ["check", os.environ["POLICY"]]),
                            ("top", ["top", "-n", "1", "-d", "0.1"]), ("explain", ["explain", port]),
                            ("explain", ["explain", os.environ["PLAIN_PORT"]])):
        outcome = ctl(*arguments, "--json")
        assert outcome.returncode == 0, outcome.stderr
        document = json.loads(outcome.stdout)
        with open(f"{os.environ['SOCKACCEL_SCHEMAS']}/{name}.json", encoding="utf-8") as file:
            jsonschema.Draft202012Validator(closed(json.load(file))).validate(document)
        lists = [value for value in document.values() if isinstance(value, list)]
        assert name == "changes" or any(lists), f"{name} is empty and shows nothing"
        seen.add(name)
    with open(f"{os.environ['SOCKACCEL_SCHEMAS']}/event.json", encoding="utf-8") as file:
        event = closed(json.load(file))
    with open(os.environ["EVENTS"], encoding="utf-8") as file:
        events = [json.loads(line) for line in file]
    assert events
    for one in events:
        jsonschema.Draft202012Validator(event).validate(one)
    seen.add("event")
    files = {file.removesuffix(".json") for file in os.listdir(os.environ["SOCKACCEL_SCHEMAS"])}
    assert files >= seen, files


globals()[sys.argv[1]]()
