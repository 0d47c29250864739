"""Which backbone writes its answers."""

from __future__ import annotations

from dataclasses import replace

import pytest

from benchmark.config.generators import generator_of
from benchmark.config.params import Config, load
from bmt.errors import ConfigError
from tests.support.repository import ROOT


def config_with(**heads: str) -> Config:
    """The sample profile with backbones of these heads."""
    config = load(ROOT / "profiles" / "sample.yaml")
    minilm = config.backbones["minilm"]
    return replace(config, backbones={name: replace(minilm, head=head) for name, head in heads.items()})


def test_the_only_model_that_writes_is_meant_and_of_several_one_is_named() -> None:
    config = config_with(bert="span", writer="generate")
    assert generator_of(config, None)[0] == "writer"
    several = config_with(a="generate", b="generate")
    assert generator_of(several, "b") == ("b", several.backbones["b"])
    for name, given, said in (
        (None, several, "of the profile sample those with head generate are several (a, b): name one"),
        (None, config_with(a="span"), "are none: profile paper has one, --params profiles/paper.yaml"),
        ("a", config_with(a="span"), "a model that writes its answers (profile paper has one)"),
    ):
        with pytest.raises(ConfigError) as caught:
            generator_of(given, name)
        assert str(caught.value).endswith(said)
