"""A driver that trains nothing: it holds a placement group for each slot of its share, and says how many, one line a change.

python slot_holder.py ADDRESS NAME WANTS PRIORITY MOST CPUS
"""

from __future__ import annotations

import json
import sys
import time

import ray
from ray.util.placement_group import placement_group, remove_placement_group

from cluster.sharing.client import Ask, Sharing
from cluster.slots import Request


def main(address: str, name: str, wants: str, priority: str, most: str, cpus: str) -> None:
    ray.init(address=address, log_to_driver=False, logging_level="ERROR")
    bundle = {"CPU": float(cpus)}
    sharing = Sharing(Ask(Request((bundle,)), name, priority=float(priority), most=int(most)))
    groups, ready, told = [], {}, None
    while True:
        slots = sharing.target({}, int(wants))
        while len(groups) < slots:
            groups.append(placement_group([bundle]))
            ready[groups[-1].id] = groups[-1].ready()
        while len(groups) > slots:
            gone = groups.pop()
            ready.pop(gone.id)
            remove_placement_group(gone)
        held = len(ray.wait(list(ready.values()), num_returns=len(ready), timeout=0)[0]) if ready else 0
        others = {str(other["study"]): other["slots"] for other in sharing.share.others}
        if told != (told := {"slots": slots, "held": held, "others": others}):
            print(json.dumps(told), flush=True)
        time.sleep(0.1)


if __name__ == "__main__":
    main(*sys.argv[1:])
