"""The harness: every module is a command, `python -m benchmark.<verb>`."""

import os

# Nothing here reports to anybody. Set before mlflow, huggingface_hub or dvc read them; a user's own setting
# wins.
_QUIET = {
    "DO_NOT_TRACK": "1",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "DVC_NO_ANALYTICS": "1",
}
# Waiting threads sleep instead of spinning: on two cores shared with other work, a training step took 0.80 s
# instead of 4.4.
_SHARED = {"OMP_WAIT_POLICY": "passive"}
for _name, _value in (_QUIET | _SHARED).items():
    os.environ.setdefault(_name, _value)
