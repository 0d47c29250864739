"""What the tests of tools.performance share."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.tiny_tokenizers import fast


@pytest.fixture(scope="module")
def tokenizer() -> Any:
    """A BERT's tokenizer whose batches hold token types."""
    made = fast("bert")
    made.model_input_names = ["input_ids", "token_type_ids", "attention_mask"]
    return made
