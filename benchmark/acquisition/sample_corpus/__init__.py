"""The embedded sample corpus: passages and questions in twelve styles, in the MRQA form, generated
deterministically.

`scenes` builds passages from wordings.yaml and the names in words.yaml, with each dataset's markers;
`writing` makes the files. For trying the pipeline in minutes: its scores say nothing about MRQA.
"""

from benchmark.acquisition.sample_corpus.writing import write

__all__ = ["write"]
