"""Says in one sentence what this machine lacks for building twonn, before anything is made.

``make`` runs it with the Python that is to be used. It must compile on Pythons that are too old, or it could
not say so.
"""

import os
import platform
import shlex
import subprocess
import sys
import sysconfig
import tempfile

OLDEST = (3, 11)

#: What to install, by kind of system. Debian's packages for one version of Python are named after it.
#: On macOS the compiler comes with Apple's tools, the rest with any Python.
VERSION = f"python{sys.version_info[0]}.{sys.version_info[1]}"
PACKAGES = {
    "debian": {"venv": f"{VERSION}-venv", "headers": f"{VERSION}-dev", "compiler": "gcc libc6-dev"},
    "fedora": {"venv": "python3", "headers": "python3-devel", "compiler": "gcc"},
}
COMMANDS = {"debian": "apt install", "fedora": "dnf install"}
NAMES = {"venv": "the modules venv and ensurepip", "headers": "Python.h", "compiler": "a C compiler"}


def imports(*names):
    """Tell whether this Python has all of these modules."""
    try:
        for name in names:
            __import__(name)
    except ImportError:
        return False
    return True


def compiles(program):
    """Tell whether the compiler that setuptools would call makes an object file of this program."""
    command = shlex.split(os.environ.get("CC") or sysconfig.get_config_var("CC") or "cc")
    include = sysconfig.get_path("include")
    platinclude = sysconfig.get_path("platinclude") or include
    with tempfile.TemporaryDirectory() as folder:
        source = os.path.join(folder, "check.c")
        with open(source, "w") as file:
            file.write(program)
        command += ["-I" + include, "-I" + platinclude, "-c", source, "-o", os.path.join(folder, "check.o")]
        try:
            done = subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        except OSError:
            return False
    return done.returncode == 0


def missing():
    """Return what is missing, as keys of `NAMES`."""
    lacking = [] if imports("venv", "ensurepip") else ["venv"]
    if not compiles("#include <stdlib.h>\nint main(void) { return EXIT_SUCCESS; }\n"):
        # Without a compiler, whether the header is there is seen by its name alone.
        if not os.path.exists(os.path.join(sysconfig.get_path("include"), "Python.h")):
            lacking.append("headers")
        lacking.append("compiler")
    elif not compiles("#include <Python.h>\n"):
        lacking.append("headers")
    return lacking


def system():
    """Return the kind of this system, a key of `PACKAGES`, or "macos", or "" where it is another one."""
    if platform.system() == "Darwin":
        return "macos"
    kinds = set()
    try:
        # The variable is for tests of this file.
        with open(os.environ.get("OS_RELEASE", "/etc/os-release")) as file:
            for line in file:
                key, _, value = line.strip().partition("=")
                if key in ("ID", "ID_LIKE"):
                    kinds |= set(value.strip("\"'").split())
    except OSError:
        pass
    if kinds & {"debian", "ubuntu"}:
        return "debian"
    return "fedora" if kinds & {"fedora", "rhel", "centos"} else ""


def remedy(lacking, kind):
    """Return what to do about it, as the end of a sentence."""
    them = "it" if len(lacking) == 1 else "them"
    if kind == "macos":
        commands = ["xcode-select --install"] if "compiler" in lacking else []
        commands += ["brew install python"] if lacking != ["compiler"] else []
        return f"install {them} with: {' && '.join(commands)}"
    if not kind:
        return f"install the packages of your system that bring {them}."
    packages = " ".join(PACKAGES[kind][name] for name in lacking)
    return f"install {them}, as root, with: {COMMANDS[kind]} {packages}"


def sentence():
    """Return what is missing and what to do about it, or "" where all is there."""
    if sys.version_info < OLDEST:
        return (
            f"twonn needs Python {OLDEST[0]}.{OLDEST[1]} or newer, and {sys.executable} is "
            f"{platform.python_version()}: name a newer one with: make PYTHON=python3.13"
        )
    lacking = missing()
    if not lacking:
        return ""
    names = [NAMES[name] for name in lacking]
    listed = names[0] if len(names) == 1 else ", ".join(names[:-1]) + " and " + names[-1]
    return (
        f"Building twonn with {sys.executable} needs {listed}, which this machine lacks: "
        f"{remedy(lacking, system())}"
    )


if __name__ == "__main__":
    sys.exit(sentence() or 0)
