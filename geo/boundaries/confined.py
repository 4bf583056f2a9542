"""What a process that reads foreign files may still do: read those files, and nothing else.

Landlock limits which files it sees, a seccomp filter which calls it may make of the kernel; both hold until
the process ends. Numbers are those of Linux's ``landlock.h``, ``seccomp.h`` and ``unistd.h``.
"""

from __future__ import annotations


def confine(readable: list[str]) -> list[str]:
    """Takes from this process all but reading the files and folders named, and what it has open already.

    No other file can be opened, none written or made; no network, no further process or thread, no signal to
    others. A child that is a program of its own is given this function's source: it imports nothing of ours.

    Args:
        readable: absolute paths; those that are not there are left out.

    Returns:
        What could not be taken from it here, in words; empty where everything was.
    """
    import contextlib
    import ctypes
    import os
    import platform
    import struct
    import sys

    system: str = sys.platform
    if system != "linux":
        return ["files and network are not closed to what reads it: that needs Linux"]
    lacking: list[str] = []
    libc = ctypes.CDLL(None, use_errno=True)
    # The wide types matter: arguments left out are not zero.
    call = libc.syscall
    call.restype = ctypes.c_long

    def kernel(number: int, *arguments: int | ctypes.Array[ctypes.c_char]) -> int:
        """A call of the kernel by its number; -1 where it refuses."""
        words = [
            ctypes.c_long(each) if isinstance(each, int) else ctypes.cast(each, ctypes.c_void_p)
            for each in arguments
        ]
        return int(call(ctypes.c_long(number), *words))

    libc.prctl(38, *(ctypes.c_ulong(each) for each in (1, 0, 0, 0)))  # PR_SET_NO_NEW_PRIVS

    # Landlock: landlock_create_ruleset, landlock_add_rule, landlock_restrict_self.
    version = kernel(444, 0, 0, 1)
    if version < 1:
        lacking.append(
            "other files are not hidden from what reads it: this kernel has no Landlock (Linux 5.13)"
        )
    else:
        rights = {1: 13, 2: 14, 3: 15, 4: 15}.get(version, 16)
        ruled = struct.pack("<QQQ", (1 << rights) - 1, 3 if version >= 4 else 0, 3 if version >= 6 else 0)
        size = 8 if version < 4 else 16 if version < 6 else 24
        rules = kernel(444, ctypes.create_string_buffer(ruled, 24), size, 0)
        for place in readable:
            with contextlib.suppress(FileNotFoundError):
                opened = os.open(place, os.O_PATH | os.O_CLOEXEC)
                # READ_FILE, and READ_DIR where it is a folder.
                allowed = 0b1100 if os.path.isdir(place) else 0b0100  # noqa: PTH112 - pathlib is not needed
                rule = ctypes.create_string_buffer(struct.pack("<Qi", allowed, opened), 12)
                if kernel(445, rules, 1, rule, 0) != 0:
                    raise OSError(ctypes.get_errno(), "Landlock refuses a rule", place)
                os.close(opened)
        if rules < 0 or kernel(446, rules, 0) != 0:
            raise OSError(ctypes.get_errno(), "Landlock refuses to begin")
        os.close(rules)

    # seccomp: calls by their numbers, all others are refused.
    x86 = (
        *(0, 1, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 17, 19, 20, 21, 23, 24, 25, 27, 28, 32, 35, 39),
        *(60, 63, 72, 73, 78, 79, 89, 96, 97, 98, 99, 100, 102, 104, 107, 108, 110, 131, 137, 138, 186, 201),
        *(202, 204, 217, 219, 221, 228, 229, 230, 231, 262, 267, 269, 270, 271, 273, 309, 318, 324, 332, 334),
        439,
    )
    arm = (
        *(
            17,
            23,
            25,
            32,
            43,
            44,
            48,
            57,
            61,
            62,
            63,
            64,
            65,
            66,
            67,
            72,
            73,
            78,
            79,
            80,
            93,
            94,
            98,
            99,
            101,
        ),
        *(113, 114, 115, 123, 124, 128, 132, 134, 135, 139, 153, 160, 163, 165, 168, 169, 172, 173, 174, 175),
        *(176, 177, 178, 179, 214, 215, 216, 222, 223, 226, 232, 233, 278, 283, 291, 293, 439),
    )
    # Its architecture's number, calls allowed, and open (or none), openat, prlimit64, tgkill.
    known = {
        "x86_64": (0xC000003E, x86, (2, 257, 302, 234)),
        "aarch64": (0xC00000B7, arm, (None, 56, 261, 131)),
    }
    machine = platform.machine()
    if machine not in known or struct.calcsize("P") != 8:
        lacking.append(f"the network is not closed to what reads it: no rules are known for {machine}")
        return lacking
    architecture, allowed_calls, (open_, openat, prlimit, tgkill) = known[machine]
    load, equal, any_of, back = 0x20, 0x15, 0x45, 0x06  # BPF_LD|W|ABS, JEQ, JSET, RET
    yes, refused, unknown = 0x7FFF0000, 0x50000 | 1, 0x50000 | 38  # ALLOW; ERRNO with EPERM, ENOSYS
    # O_WRONLY, O_RDWR, O_CREAT, O_TRUNC, O_APPEND and the bit of O_TMPFILE that is its own.
    writing = 0o1 | 0o2 | 0o100 | 0o1000 | 0o2000 | 0o20000000

    def argument(at: int, high: int = 0) -> int:
        return 16 + 8 * at + 4 * high

    code: list[tuple[int, int, int, int]] = [
        (load, 0, 0, 4),
        (equal, 1, 0, architecture),
        (back, 0, 0, refused),
        (load, 0, 0, 0),
    ]
    for number, flags in ((open_, 1), (openat, 2)):
        if number is not None:
            code += [(equal, 0, 4, number), (load, 0, 0, argument(flags)), (any_of, 0, 1, writing)]
            code += [(back, 0, 0, refused), (back, 0, 0, yes)]
    # Limits are read, not set.
    code += [
        (equal, 0, 6, prlimit),
        (load, 0, 0, argument(2)),
        (equal, 0, 3, 0),
        (load, 0, 0, argument(2, 1)),
    ]
    code += [(equal, 0, 1, 0), (back, 0, 0, yes), (back, 0, 0, refused)]
    # A signal to itself is how a program aborts.
    code += [(equal, 0, 4, tgkill), (load, 0, 0, argument(0)), (equal, 0, 1, os.getpid())]
    code += [(back, 0, 0, yes), (back, 0, 0, refused)]
    for number in allowed_calls:
        code += [(equal, 0, 1, number), (back, 0, 0, yes)]
    # Libraries try calls newer than what they know to be there, and go on where there are none.
    code += [(0x35, 0, 1, 403), (back, 0, 0, unknown), (back, 0, 0, refused)]
    program = b"".join(struct.pack("<HBBI", *each) for each in code)
    filter_ = ctypes.create_string_buffer(program, len(program))
    header = ctypes.create_string_buffer(struct.pack("@HP", len(code), ctypes.addressof(filter_)))
    # PR_SET_SECCOMP, SECCOMP_MODE_FILTER
    if libc.prctl(22, ctypes.c_ulong(2), header, ctypes.c_ulong(0), ctypes.c_ulong(0)) != 0:
        lacking.append("the network is not closed to what reads it: this kernel has no seccomp filters")
    return lacking
