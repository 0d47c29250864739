"""The embedded sample corpus: passages and questions in twelve styles, in the MRQA form, generated
deterministically.

`scenes` builds passages from the wordings in `encyclopaedia`, `web` and `out_of_domain` and the names in
`words`; `frames` lays them out with each dataset's markers; `writing` makes the files. For trying the
pipeline in minutes: its scores say nothing about MRQA.
"""

from benchmark.acquisition.sample_corpus.writing import VERSION, passages, write

__all__ = ["VERSION", "passages", "write"]
