#!/usr/bin/env python3
"""Shows the benefit of more Edge TPUs for several networks.

Planning releases the interpreter's lock, so threads suffice.

    sweep.py [MODEL ...]

For thousands of plans on several machines, use `segue sweep`.
"""

import sys
from concurrent.futures import ThreadPoolExecutor

import segue

MODELS = ["zoo:mobilenetv2", "zoo:resnet50", "zoo:inceptionv3"]


def best_plans(name: str) -> list[segue.Plan]:
    """Returns the best plans for 1 to 8 TPUs, which may not use all of them."""
    model = segue.open_model(name)
    return [segue.plan(model, tpus, "optimal") for tpus in range(1, 9)]


def main() -> None:
    models = sys.argv[1:] or MODELS
    with ThreadPoolExecutor() as threads:
        for name, plans in zip(models, threads.map(best_plans, models)):
            print(f"{name} (simulated)")
            for tpus, plan in enumerate(plans, start=1):
                rate = plan.predicted.throughput_per_s
                print(
                    f"  {tpus} TPUs: {rate:7.1f}/s, {rate / plan.device_count:6.1f}/s for each of the"
                    f" {plan.device_count} used"
                )


if __name__ == "__main__":
    main()
