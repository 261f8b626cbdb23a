"""Random programs of several modules, full of names that could collide.

Every module has names of its own, and now and then takes one of another module, of the
kernel or of the builtins; imports, aliases, `global`, comprehensions, walruses, nested
functions, classes, exceptions and loops bind and read them in every way there is.
"""

import random

OUTSIDE = ("len", "max", "print", "math", "x")


class Programs:
    """Writes the modules `m1` ... and the kernel of one random program."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.count = self.random.randint(1, 3)
        self.number = 0
        self.known: list[str] = []

    def files(self) -> dict[str, str]:
        """Give the text of every file."""
        numbers = range(self.count + 1)
        return {f"m{n}.py" if n else "kernel.py": self.module(n) for n in numbers}

    def own(self, number: int) -> list[str]:
        return [f"{letter}{number}" for letter in "abcdeC"]

    def name(self) -> str:
        """A name to read: mostly a known one."""
        chance = self.random.random()
        if chance < 0.06:
            return self.random.choice(OUTSIDE)
        if chance < 0.09:
            return self.random.choice(self.own((self.number + 1) % (self.count + 1)))
        return self.random.choice(self.known)

    def bound(self) -> str:
        """A name for the module to bind: nearly always one of its own."""
        if self.random.random() < 0.02:
            return self.random.choice(OUTSIDE)
        return self.random.choice(self.own(self.number))

    def local(self) -> str:
        """A name for a function to bind: anything."""
        if self.random.random() < 0.3:
            return self.random.choice(OUTSIDE)
        return self.name()

    def value(self, depth: int = 0) -> str:
        choose = self.random.choice
        chance = self.random.random()
        if depth >= 2 or chance < 0.3:
            return choose(["1", "'s'", "[1, 2]", "(3,)", "None", self.own(0)[0]])
        if chance < 0.5:
            name = self.name()
            return f"{name}()" if name[0] == "C" else name
        inner = self.value(depth + 1)
        return choose(
            [
                f"{self.name()}({inner})",
                f"[{inner} for {self.name()} in ({self.value(depth + 1)}, 5)]",
                f"[({self.name()} := {self.name()}) for {self.name()} in (1, 2)]",
                f"(lambda {self.name()}={inner}: {self.value(depth + 1)})",
                f"str({inner})",
                f"{self.name()}.attr",
                f"type({self.name()}).__name__",
                f"({inner}, {self.value(depth + 1)})",
                f"isinstance({self.name()}, {self.name()})",
                f"len({inner})",
            ]
        )

    def body(self, depth: int = 0) -> list[str]:
        lines = [f"global {self.bound()}"] if self.random.random() < 0.08 else []
        for _ in range(self.random.randint(1, 3)):
            lines += self.inner(depth)
        return [*lines, f"return {self.value()}"]

    def inner(self, depth: int) -> list[str]:
        chance = self.random.random()
        name, value = self.local(), self.value()
        if chance < 0.3:
            return [f"{name} = {value}"]
        if chance < 0.4:
            return [
                f"for {name} in ({value},):",
                f"    {self.local()} = {self.value()}",
            ]
        if chance < 0.5:
            handler = [f"except Exception as {name}:", f"    {self.local()} = 1"]
            return ["try:", f"    {value}", *handler]
        if chance < 0.6 and depth < 2:
            return [
                f"def {name}({self.name()}={value}):",
                *indent(self.body(depth + 1)),
            ]
        if chance < 0.7:
            return [f"print('p', {value})"]
        return [f"{name} += {value}"] if chance < 0.75 else [f"return {value}"]

    def statement(self) -> list[str]:
        number = self.number
        chance = self.random.random()
        if chance < 0.28 and number < self.count:
            return [self.imported()]
        if chance < 0.33:
            lines = ["import math", f"import math as q{number}"]
            return [self.random.choice([*lines, f"from math import ceil as r{number}"])]
        if chance < 0.6:
            default = self.random.choice(["", f"{self.local()}={self.value(2)}"])
            return [f"def {self.bound()}({default}):", *indent(self.body())]
        if chance < 0.7:
            method = [f"def meth(self, {self.local()}=1):", *indent(self.body())]
            lines = [f"attr = {self.value(2)}", *method]
            shown = ["def __repr__(self):", "    return 'R'"]
            return [
                f"class {self.bound()}:",
                *indent([*lines, *(shown if chance < 0.65 else [])]),
            ]
        if chance < 0.93 or number:
            return [f"{self.bound()} = {self.value(2 if number else 0)}"]
        return [
            f"for {self.bound()} in ({self.value()},):",
            f"    print({self.value()})",
        ]

    def imported(self) -> str:
        source = self.random.randint(self.number + 1, self.count)
        name = self.random.choice(self.own(source))
        alias = f"{self.random.choice('uvw')}{self.number}"
        if self.random.random() < 0.2:
            self.known += [alias] * 2
            return f"from m{source} import {name} as {alias}"
        self.known += [name] * 2
        return f"from m{source} import {name}"

    def module(self, number: int) -> str:
        self.number = number
        self.known = self.own(number)
        statements = [self.statement() for _ in range(self.random.randint(2, 6))]
        statements.sort(key=lambda lines: not lines[0].startswith("from m"))
        lines = [line for statement in statements for line in statement]
        if number == 0:
            for name in self.random.sample(self.known, 5):
                shown = f"    print('{name}', {name}, {self.value()})"
                lines += ["try:", shown, "except Exception:", "    print('err')"]
        else:
            for name in self.own(number):
                lines += self.definition(name)
        return "\n".join(lines) + "\n"

    def definition(self, name: str) -> list[str]:
        if name[0] == "C":
            return [f"class {name}:", "    attr = 3"]
        if self.random.random() < 0.5:
            return [f"{name} = {self.random.choice(['10', '20'])}"]
        return [f"def {name}(*args):", f"    return ('{name}', args, {self.name()})"]


def indent(lines: list[str]) -> list[str]:
    return [f"    {line}" for line in lines]
