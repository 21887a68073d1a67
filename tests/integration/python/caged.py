# SPDX-License-Identifier: Apache-2.0
"""caged: runs a command under a seccomp profile in the form of OCI runtimes, or says what a profile lacks.

  caged.py run PROFILE COMMAND...      as PROFILE says, by libseccomp; what it does not allow kills the process
  caged.py lacks PROFILE STRACE...     prints the calls in outputs of strace that PROFILE does not allow
"""
import ctypes
import json
import os
import re
import sys

KILL_PROCESS, ALLOW = 0x80000000, 0x7FFF0000


def allowed(path):
    with open(path) as file:
        profile = json.load(file)
    assert profile["defaultAction"] == "SCMP_ACT_ERRNO", "what is not named has to be refused"
    return [name for row in profile["syscalls"] if row["action"] == "SCMP_ACT_ALLOW" for name in row["names"]]


def run(path, *command):
    library = ctypes.CDLL("libseccomp.so.2")
    library.seccomp_init.restype = ctypes.c_void_p
    library.seccomp_init.argtypes = [ctypes.c_uint32]
    library.seccomp_rule_add.argtypes = [ctypes.c_void_p, ctypes.c_uint32, ctypes.c_int, ctypes.c_uint]
    library.seccomp_load.argtypes = [ctypes.c_void_p]
    context = library.seccomp_init(KILL_PROCESS)
    for name in allowed(path):
        number = library.seccomp_syscall_resolve_name(name.encode())
        if number >= 0:  # negative: another architecture's, or newer than the library
            assert library.seccomp_rule_add(context, ALLOW, number, 0) == 0, name
    assert library.seccomp_load(context) == 0
    os.execv(command[0], command)


def lacks(path, *traces):
    names = set()
    for trace in traces:
        with open(trace, errors="replace") as file:
            names |= set(re.findall(r"^(?:\d+ +)?(?:\d+\.\d+ +)?([a-z_0-9]+)\(", file.read(), re.M))
    assert len(names) > 20, "these are no outputs of strace"
    print(*sorted(names - set(allowed(path))))


{"run": run, "lacks": lacks}[sys.argv[1]](*sys.argv[2:])
