"""What follows a verb, sorted into Hydra's flags and the overrides.

Hydra's parser refuses flags behind overrides (`a=1 -m b=2`) and answers a mistake with its whole usage; so
words are sorted and checked here. `--config-dir` is taken out, because ours wins over the shipped config.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from distill_cli.config.nearest import nearest
from distill_cli.errors import ConfigError

SWITCHES = ("--multirun", "-m", "--run", "-r", "--resolve", "--hydra-help")
VALUED = (
    "--cfg",
    "-c",
    "--package",
    "-p",
    "--config-name",
    "-cn",
    "--config-path",
    "-cp",
    "--config-dir",
    "-cd",
)
INFO = ("--info", "-i")
CFG_CHOICES = ("job", "hydra", "all")
INFO_CHOICES = ("all", "config", "defaults", "defaults-tree", "plugins", "searchpath")
CHOICES = {**dict.fromkeys(("--cfg", "-c"), CFG_CHOICES), **dict.fromkeys(INFO, INFO_CHOICES)}
MODES = (("--multirun", "-m"), ("--run", "-r"), ("--cfg", "-c"), INFO)  # one of them at a time


@dataclass
class Arguments:
    flags: list[str] = field(default_factory=list)
    overrides: list[str] = field(default_factory=list)
    bare: list[str] = field(default_factory=list)  # words that are neither
    config_dir: str | None = None

    @classmethod
    def parse(cls, words: Sequence[str]) -> Arguments:
        """Raises `ConfigError` for an unknown flag, a value that is missing or wrong, or two modes."""
        arguments, rest = cls(), _with_info_spelled_out(words)
        for word in rest:
            if word.startswith("-"):
                arguments._take_flag(word, rest)
            elif "=" in word or word.startswith("~"):
                arguments.overrides.append(word)
            else:
                arguments.bare.append(word)
        arguments._check_modes()
        return arguments

    def _take_flag(self, word: str, rest: Iterator[str]) -> None:
        name, equals, value = word.partition("=")
        if word in SWITCHES:
            self.flags.append(word)
        elif name in VALUED or name in INFO:
            self._take_value(name, value if equals else next(rest, ""))
        else:
            raise ConfigError(f"no such option: {word!r}; {_nearest_flag(name)}")

    def _take_value(self, name: str, value: str) -> None:
        choices = CHOICES.get(name)
        if choices and value not in choices:
            raise ConfigError(f"{name} {value}".rstrip() + f": choose from {', '.join(choices)}")
        if not value:
            raise ConfigError(f"{name} needs a value")
        if name in ("--config-dir", "-cd"):
            self.config_dir = value
        else:
            self.flags += [name, value]

    def _check_modes(self) -> None:
        asked = [names[0] for names in MODES if set(names) & set(self.flags)]
        if len(asked) > 1:
            raise ConfigError(f"{' and '.join(asked)} cannot be used together")
        if "--resolve" in self.flags and "--cfg" not in asked:
            raise ConfigError("--resolve needs --cfg job")


def _with_info_spelled_out(words: Sequence[str]) -> Iterator[str]:
    """`--info` alone means `--info all`; Hydra would take the next override for its value."""
    for word, following in zip(words, [*words, ""][1:], strict=True):
        yield word
        if word in INFO and (not following or "=" in following or following[0] in "-~"):
            yield "all"


def _nearest_flag(name: str) -> str:
    flags = [flag for flag in (*SWITCHES, *VALUED, *INFO) if flag.startswith("--")]
    near = nearest(name, flags)
    return f"did you mean {near!r}?" if near else f"there are {', '.join(flags)}"
