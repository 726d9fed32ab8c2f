"""What a pickle says, read by a machine that can build containers and call nothing.

A pickle is a program for a small stack machine, and in Python's own any name it gives may be
imported and called. Here `pickletools` takes the program apart and this machine follows it.
Numbers, texts and containers come out as they are, a class or function as a `Named`, an object as
a `Placeholder`. Only names in `KNOWN` (rebuilt.py) lead to a call: of a function of our own.
"""

from __future__ import annotations

import pickletools
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from itertools import chain
from typing import Any, BinaryIO


class UnreadableError(Exception):
    """Why a file is refused, in one line."""


DEEPEST = 100
"""Containers inside each other: more than any checkpoint has, and few enough to walk over."""
LEAST, MULTIPLE = 64 << 20, 8
"""Reading may take so many bytes, and so many times the file's size beyond them."""


class Allowance:
    """Bytes of memory that reading a file may still take; they are spent in advance.

    As every step costs some, it bounds the time as well.
    """

    def __init__(self, size: int) -> None:
        self.left = LEAST + MULTIPLE * size

    def spend(self, count: int) -> None:
        self.left -= count
        if self.left < 0:
            raise UnreadableError("it would take far more memory than a file of its size should")


# What things take at most in CPython, in bytes.
VALUE, ENTRY, TABLE, OBJECT = 64, 128, 256, 640


@dataclass(frozen=True, slots=True)
class Named:
    """A class, function or constant that a file names. It is not imported."""

    name: str
    """With its module: `collections.OrderedDict`."""


@dataclass(eq=False, repr=False, slots=True)
class Placeholder:
    """Stands where a file wanted an object made."""

    name: str
    """Of the class, or of the function that should have made it."""
    arguments: tuple = ()
    state: dict = field(default_factory=dict)
    """What the file set on it: its attributes by name, and its items if it is a dictionary."""
    more: list = field(default_factory=list)
    """What was appended or added to it, and a state that is no dictionary."""

    def __repr__(self) -> str:
        return f"<placeholder of {self.name}>"


@dataclass(frozen=True)
class Known:
    """What means something to us: functions and constants by name, and states by type.

    Functions get the machine, and the arguments in the file or the object and its state.
    """

    calls: Mapping[str, Callable[..., Any]]
    constants: Mapping[str, Any]
    states: Mapping[type, Callable[..., None]]


class Machine:
    """Follows one pickle. `persistent` says what its references to things outside it stand for."""

    def __init__(
        self,
        stream: BinaryIO,
        allowance: Allowance,
        known: Known,
        persistent: Callable[[Any], Any],
    ) -> None:
        self.stream = stream
        self.allowance = allowance
        self.known = known
        self.persistent = persistent
        self.stack: list[Any] = []
        self.outer: list[list[Any]] = []  # the stacks below the open marks
        self.memo: dict[int, Any] = {}

    def run(self) -> Any:
        """The pickle's value; the stream then stands behind its end."""
        for opcode, argument, _ in pickletools.genops(self.stream):
            self.allowance.spend(VALUE + _size(argument))
            if opcode.name == "STOP":
                break
            if opcode.name in VALUES:
                self.stack.append(argument)
            elif opcode.name in ACTIONS:
                ACTIONS[opcode.name](self, argument)
            else:
                raise UnreadableError(f"{opcode.name} asks for data beyond the file")
        value = self.stack.pop()
        check_depth(value)
        return value

    def marked(self) -> list[Any]:
        """What lies above the latest mark, which goes."""
        items = self.stack
        self.stack = self.outer.pop()
        return items

    def mark(self) -> None:
        self.allowance.spend(ENTRY)
        self.outer.append(self.stack)
        self.stack = []

    def make(self, value: Any) -> None:
        self.allowance.spend(TABLE)
        self.stack.append(value)

    def remember(self, place: int) -> None:
        self.allowance.spend(ENTRY)
        self.memo[place] = self.stack[-1]

    def extend(self, items: Iterable[Any]) -> None:
        target = self.stack[-1]
        if isinstance(target, list):
            target.extend(items)
        elif isinstance(target, set):
            target |= self.keys(items)
        elif isinstance(target, Placeholder):
            target.more.extend(items)
        else:
            raise UnreadableError(f"something is appended to type {_kind(target)}")

    def update(self, items: list[Any]) -> None:
        target = self.stack[-1]
        if isinstance(target, Placeholder):
            target = target.state
        if not isinstance(target, dict):
            raise UnreadableError(f"an entry is set in type {_kind(target)}")
        target.update(self.pairs(items))

    def pairs(self, items: list[Any]) -> dict[Any, Any]:
        """A dictionary of keys and values in turn."""
        self.allowance.spend(ENTRY * len(items))
        return dict(zip(map(_key, items[::2]), items[1::2], strict=True))

    def keys(self, items: Iterable[Any]) -> set[Any]:
        if not isinstance(items, CONTAINERS):
            raise UnreadableError(f"a set is made of type {_kind(items)}")
        self.allowance.spend(ENTRY * len(items))
        return set(map(_key, items))

    def name(self, module: str, name: str) -> Any:
        if not isinstance(module, str) or not isinstance(name, str):
            raise UnreadableError("a name is not a text")
        full = f"{module.replace('__builtin__', 'builtins')}.{name}"
        self.allowance.spend(OBJECT + _size(full))
        return self.known.constants.get(full, Named(full))

    def call(self, function: Any, arguments: Any) -> Any:
        """What our own function of that name makes of the arguments, or a placeholder."""
        if not isinstance(arguments, tuple):
            raise UnreadableError(f"arguments of type {_kind(arguments)}")
        self.allowance.spend(OBJECT + VALUE * len(arguments))
        if not isinstance(function, Named | Placeholder):
            raise UnreadableError(f"a call of type {_kind(function)}")
        if isinstance(function, Named) and function.name in self.known.calls:
            return self.known.calls[function.name](self, *arguments)
        return Placeholder(function.name, arguments)

    def reduce(self) -> None:
        arguments, function = self.stack.pop(), self.stack.pop()
        self.stack.append(self.call(function, arguments))

    def new_with_names(self) -> None:
        """An object from arguments of which some have names."""
        named, arguments, function = (self.stack.pop() for _ in range(3))
        self.stack.append(self.call(function, arguments))
        if named:
            self.stack.append(named)
            self.build()

    def old_object(self) -> None:
        function, *arguments = self.marked()
        self.stack.append(self.call(function, tuple(arguments)))

    def old_instance(self, names: str) -> None:
        arguments = tuple(self.marked())
        self.stack.append(self.call(self.name(*names.split(" ", 1)), arguments))

    def build(self) -> None:
        """Give the object on the stack its state; plain containers have none to speak of."""
        state, target = self.stack.pop(), self.stack[-1]
        if isinstance(target, Placeholder):
            # Objects with slots have a pair: attributes of either kind.
            for part in state if _is_pair_of_states(state) else (state,):
                if isinstance(part, dict):
                    self.allowance.spend(ENTRY * len(part))
                    target.state.update(part)
                elif part is not None:
                    target.more.append(part)
        elif type(target) in self.known.states:
            self.known.states[type(target)](self, target, state)
        elif not isinstance(target, dict | list | set):
            raise UnreadableError(f"type {_kind(target)} is given a state")


def _is_pair_of_states(state: Any) -> bool:
    return (
        isinstance(state, tuple)
        and len(state) == 2
        and all(part is None or isinstance(part, dict) for part in state)
    )


def _kind(value: Any) -> str:
    return type(value).__name__


def _size(argument: Any) -> int:
    """At most, in memory."""
    if isinstance(argument, str):
        return 4 * len(argument)
    if isinstance(argument, bytes | bytearray):
        return len(argument)
    return argument.bit_length() // 7 if isinstance(argument, int) else 0


KEYS = (str, bytes, float, Named, Placeholder, type(None))


def _key(value: Any, inside: bool = False) -> Any:
    """A key whose hash takes no time: nested ones take hours, and many huge numbers share one."""
    if isinstance(value, int):
        simple = value.bit_length() <= 60
    elif isinstance(value, tuple) and not inside:
        simple = len(value) <= 16 and all(_key(part, inside=True) is part for part in value)
    else:
        simple = isinstance(value, KEYS)
    if not simple:
        raise UnreadableError(f"a key of type {_kind(value)}")
    return value


VALUES = {
    opcode.name
    for opcode in pickletools.opcodes
    if opcode.name.startswith(("INT", "BININT", "LONG", "FLOAT", "BINFLOAT"))
    or opcode.name.endswith(("STRING", "UNICODE", "UNICODE8", "BYTES", "BYTES8", "BYTEARRAY8"))
} - {"LONG_BINPUT", "LONG_BINGET"}

Action = Callable[[Machine, Any], object]
ACTIONS: dict[str, Action] = {
    "PROTO": lambda m, _: None,
    "FRAME": lambda m, _: None,
    "NONE": lambda m, _: m.stack.append(None),
    "NEWTRUE": lambda m, _: m.stack.append(True),
    "NEWFALSE": lambda m, _: m.stack.append(False),
    "EMPTY_TUPLE": lambda m, _: m.stack.append(()),
    "EMPTY_LIST": lambda m, _: m.make([]),
    "EMPTY_DICT": lambda m, _: m.make({}),
    "EMPTY_SET": lambda m, _: m.make(set()),
    "TUPLE": lambda m, _: m.make(tuple(m.marked())),
    "LIST": lambda m, _: m.make(m.marked()),
    "DICT": lambda m, _: m.make(m.pairs(m.marked())),
    "FROZENSET": lambda m, _: m.make(frozenset(m.keys(m.marked()))),
    "TUPLE1": lambda m, _: m.make((m.stack.pop(),)),
    "TUPLE2": lambda m, _: m.make((m.stack.pop(), m.stack.pop())[::-1]),
    "TUPLE3": lambda m, _: m.make((m.stack.pop(), m.stack.pop(), m.stack.pop())[::-1]),
    "MARK": lambda m, _: m.mark(),
    "POP": lambda m, _: m.stack.pop() if m.stack else m.marked(),
    "POP_MARK": lambda m, _: m.marked(),
    "DUP": lambda m, _: m.stack.append(m.stack[-1]),
    "APPEND": lambda m, _: m.extend([m.stack.pop()]),
    "APPENDS": lambda m, _: m.extend(m.marked()),
    "ADDITEMS": lambda m, _: m.extend(m.marked()),
    "SETITEM": lambda m, _: m.update([m.stack.pop(), m.stack.pop()][::-1]),
    "SETITEMS": lambda m, _: m.update(m.marked()),
    "MEMOIZE": lambda m, _: m.remember(len(m.memo)),
    "GLOBAL": lambda m, names: m.stack.append(m.name(*names.split(" ", 1))),
    "STACK_GLOBAL": lambda m, _: m.stack.append(m.name(*[m.stack.pop(), m.stack.pop()][::-1])),
    "REDUCE": lambda m, _: m.reduce(),
    "NEWOBJ": lambda m, _: m.reduce(),
    "NEWOBJ_EX": lambda m, _: m.new_with_names(),
    "OBJ": lambda m, _: m.old_object(),
    "INST": lambda m, names: m.old_instance(names),
    "BUILD": lambda m, _: m.build(),
    "PERSID": lambda m, text: m.stack.append(m.persistent(text)),
    "BINPERSID": lambda m, _: m.stack.append(m.persistent(m.stack.pop())),
    **{name: lambda m, place: m.remember(place) for name in ("PUT", "BINPUT", "LONG_BINPUT")},
    **{
        name: lambda m, place: m.stack.append(m.memo[place])
        for name in ("GET", "BINGET", "LONG_BINGET")
    },
    **{
        name: lambda m, code: m.stack.append(m.name("extension", str(code)))
        for name in ("EXT1", "EXT2", "EXT4")
    },
}

CONTAINERS = (list, tuple, dict, set, frozenset)
OPEN = 0


def check_depth(root: Any) -> None:
    """Refuse what would end a walk in a RecursionError: deep nesting, and what holds itself.

    A walk ends at placeholders. What they hold is looked at apart, and they may form circles.
    """
    whole = [root]
    waiting: list[Any] = [whole]
    depths: dict[int, int] = {}  # of what each container holds; OPEN while that is being found
    seen = set()  # placeholders
    while waiting:
        path = [waiting.pop()]
        while path:
            value = path[-1]
            if id(value) not in depths:
                depths[id(value)] = OPEN
                for part in _parts(value):
                    if isinstance(part, Placeholder):
                        if id(part) not in seen:
                            seen.add(id(part))
                            waiting += [part.arguments, part.state, part.more]
                    elif id(part) not in depths:
                        path.append(part)
                    elif depths[id(part)] == OPEN:
                        raise UnreadableError(f"a {_kind(part)} holds itself")
                continue
            path.pop()
            if depths[id(value)] == OPEN:
                inner = [depths[id(p)] for p in _parts(value) if not isinstance(p, Placeholder)]
                depths[id(value)] = 1 + max(inner, default=0)
                if depths[id(value)] > DEEPEST:
                    raise UnreadableError(f"more than {DEEPEST} containers lie inside each other")


def _parts(value: Any) -> list[Any]:
    """The containers and placeholders that a container holds."""
    inside = chain(value, value.values()) if isinstance(value, dict) else value
    return [part for part in inside if isinstance(part, (*CONTAINERS, Placeholder))]
