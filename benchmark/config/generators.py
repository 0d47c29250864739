"""Which backbone of a params file writes its answers (`head: generate`)."""

from __future__ import annotations

from benchmark.config.cells import known_name
from benchmark.config.params import Backbone, Config
from bmt.errors import ConfigError

HEAD = "generate"


def generator_of(config: Config, name: str | None) -> tuple[str, Backbone]:
    """The backbone that is asked for, or the profile's only one that writes answers.

    Raises:
        ConfigError: none, several, an unknown one, or one with another head.
    """
    there = [key for key, backbone in config.backbones.items() if backbone.head == HEAD]
    if name is None:
        if len(there) != 1:
            none = "none: profile paper has one, --params profiles/paper.yaml"
            count = f"several ({', '.join(there)}): name one" if there else none
            raise ConfigError(
                f"backbones: of the profile {config.profile} those with head {HEAD} are {count}"
            )
        name = there[0]
    known_name(name, tuple(config.backbones), "backbone")
    if config.backbones[name].head != HEAD:
        raise ConfigError(
            f"backbones.{name}.head: {config.backbones[name].head} is not allowed here: {HEAD}, of a model "
            f"that writes its answers ({', '.join(there) or 'profile paper has one'})"
        )
    return name, config.backbones[name]
