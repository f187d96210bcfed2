"""A process that makes analyses: each line is an order, of a file to write. Ends with its service."""

from __future__ import annotations

import json
import os
import signal
import sys
import traceback
from pathlib import Path
from typing import Any

from hpo.errors import HpoError, StudyError
from hpo.service.analysis import handing, makers
from hpo.store import Unreachable
from hpo.store.state import State
from hpo.text import cut

LONGEST = 2000  # characters of a sentence: an answer is one line, which the service reads whole


def main() -> None:
    """Serves orders until there is nobody any more who gives them."""
    os.nice(int(sys.argv[1]))
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the service's, which ends this process
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # whatever prints does not answer
    makers.warm_up()
    answers.write("{}\n")
    for line in sys.stdin:
        answers.write(json.dumps(_answer(json.loads(line))) + "\n")


def _answer(order: dict[str, Any]) -> dict[str, Any]:
    try:
        studies, states = handing.read(Path(order["folder"])), order["states"]
        told = {name: State(**state) for name, state in states.items()}
        asked = makers.Asked(studies, order["options"], order["store"], told)
        makers.kind(order["what"], order["options"]).make(asked, Path(order["path"]))
    except HpoError as error:
        return {"error": cut(str(error), LONGEST), "status": _status(error)}
    except OSError as error:
        return {
            "error": f"the service's cache folder must be writable, but: {error.strerror}; make room",
            "status": 503,
        }
    except Exception as error:
        traceback.print_exc()
        return {
            "error": f"the service has a bug: {type(error).__name__}: {cut(str(error), LONGEST)}; its log has more",
            "status": 500,
        }
    return {}


def _status(error: HpoError) -> int:
    if isinstance(error, Unreachable):
        return 503
    return 422 if isinstance(error, StudyError) else 409


if __name__ == "__main__":
    main()
