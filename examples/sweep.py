#!/usr/bin/env python3
"""How many Edge TPUs are worth it, for several networks at once: planning lets other threads run, so threads are enough.

    sweep.py [MODEL ...]

For thousands of plans over several machines there is `segue sweep`.
"""

import sys
from concurrent.futures import ThreadPoolExecutor

import segue

MODELS = ["zoo:mobilenetv2", "zoo:resnet50", "zoo:inceptionv3"]


def best_plans(name: str) -> list[segue.Plan]:
    plans = segue.compare(name, range(1, 9))
    counts = sorted({plan.device_count for plan in plans})
    return [
        min((p for p in plans if p.device_count == n), key=lambda p: p.predicted.bottleneck_ns)
        for n in counts
    ]


def main() -> None:
    models = sys.argv[1:] or MODELS
    with ThreadPoolExecutor() as threads:
        for name, plans in zip(models, threads.map(best_plans, models)):
            print(f"{name} (simulated)")
            for plan in plans:
                rate = plan.predicted.throughput_per_s
                print(
                    f"  {plan.device_count} TPUs: {rate:7.1f}/s, {rate / plan.device_count:6.1f}/s each,"
                    f" {plan.strategy}"
                )


if __name__ == "__main__":
    main()
