"""How a published model writes an answer. Apart from `bmt.qa.generation`, so that a command can check them
without torch.
"""

from __future__ import annotations

from dataclasses import dataclass

from bmt.settings import check_settings, knob


@dataclass(frozen=True, slots=True)
class GenerationSettings:
    """How an answer is written."""

    beams: int = knob(1, "beams of the search; 1: greedy", low=1)
    answer_tokens: int = knob(64, "tokens that an answer has at most", low=1)
    input_tokens: int = knob(
        512, "tokens that are read at most, </s> included; a tokenizer that says less decides", low=8
    )

    def __post_init__(self) -> None:
        check_settings(self, "generation")
