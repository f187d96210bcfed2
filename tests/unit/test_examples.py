"""The examples of pages and docstrings are found and type-checked: `make lint` runs tests/examples.py over all of them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import examples

PAGE = """
Text.

```python
import math
half = 0.5
```

1. In a list:

   ```python
   print(math.sqrt(2))
   ```

```yaml
half: 0.5
```
"""

MODULE = '''
from math import floor

class Ledger:
    """Counts.

    >>> ledger = Ledger()
    >>> for run in runs:
    ...     ledger.add(floor(run))
    """

    def add(self, epochs: int) -> None: ...
'''


def test_a_pages_blocks_are_found_with_the_imports_of_those_before() -> None:
    assert list(examples.of_page(PAGE)) == [
        (5, "import math\nhalf = 0.5\n"),
        (12, "import math\nprint(math.sqrt(2))\n"),
    ]


def test_a_docstrings_example_sees_its_module_and_is_given_what_it_does_not_make() -> None:
    ((line, code),) = examples.of_module(MODULE, "hpo.game.ledger")
    assert line == 4
    assert "from hpo.game.ledger import Ledger\nfrom math import floor\n" in code
    assert "def example(runs: Any) -> None:\n    ledger = Ledger()\n" in code


def test_the_projects_pages_and_docstrings_have_examples_that_are_python() -> None:
    found = dict(examples.every())
    assert {place.partition(":")[0] for place in found} >= {"hpo/game/ledger.py", "hpo/live/dispatch.py"}
    assert any(place.startswith("docs/") for place in found)
    for place, code in found.items():
        compile(code, place, "exec")


def test_mypy_refuses_an_example_that_is_wrong(tmp_path: Path) -> None:
    ((_, code),) = examples.of_module(MODULE.replace("floor(run)", '"one"'), "ledger")
    (tmp_path / "ledger.py").write_text(MODULE)
    (tmp_path / "example.py").write_text(code)
    command = [sys.executable, "-m", "mypy", "--config-file=", "example.py"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert 'incompatible type "str"; expected "int"' in done.stdout
