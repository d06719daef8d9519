"""The best segmentation of a model as a mixed integer program. README.md has the formulas.

Times inside the program are microseconds, memory is KiB, so that coefficients stay near one
another.
"""

import highspy

KIB = 1024
NOTHING = {}


def constant(value):
    return {None: value}


def plus(*terms):
    """Sum of (factor, expression); an expression maps columns to factors, None to a constant."""
    total = {}
    for factor, expression in terms:
        for column, value in expression.items():
            total[column] = total.get(column, 0.0) + factor * value
    return total


class Program:
    """Smallest z over all ways to put operators into at most `stages` stages."""

    def __init__(self, data, stages, ceiling_us=highspy.kHighsInf):
        self.operators, self.tensors = data["operators"], data["tensors"]
        self.device, self.caching_order = data["device"], data["caching_order"]
        self.stages = stages
        self.slowdown = self.device["host_slowdown"]
        self.link_us = 1e6 / self.device["link_bytes_per_s"]  # per byte
        self.solver = highspy.Highs()
        self.solver.setOptionValue("output_flag", False)
        self.columns = 0
        self.z = self.column(0, ceiling_us, cost=1.0)
        self.add_order()
        self.add_hop()
        for k in range(1, stages + 1):
            self.add_stage(k)

    def column(self, low=0.0, high=1.0, integer=False, cost=0.0):
        self.solver.addCol(cost, low, high, 0, [], [])
        if integer:
            self.solver.changeColIntegrality(self.columns, highspy.HighsVarType.kInteger)
        self.columns += 1
        return {self.columns - 1: 1.0}

    def at_least(self, left, right):
        row = plus((1, left), (-1, right))
        bound = -row.pop(None, 0.0)
        self.solver.addRow(bound, highspy.kHighsInf, len(row), list(row), list(row.values()))

    def add_order(self):
        """x[v][k] = 1: v is in stage k or before. None is in stage 0, all are in the last."""
        self.x = []
        for _ in self.operators:
            steps = [self.column(integer=True) for _ in range(self.stages - 1)]
            self.x.append([NOTHING, *steps, constant(1.0)])
            for before, after in zip(steps, steps[1:]):
                self.at_least(after, before)
        for tensor in self.tensors:
            for reader in tensor["readers"] if tensor["writer"] >= 0 else []:
                for k in range(1, self.stages):
                    self.at_least(self.x[tensor["writer"]][k], self.x[reader][k])

    def add_hop(self):
        """A pipeline of m > 1 stages takes m hops; empty stages come last."""
        self.used = [self.column() for _ in range(self.stages)]
        for before, after in zip(self.used, self.used[1:]):
            self.at_least(before, after)
        hop = self.device["hop_ns"] * self.slowdown / 1e3
        hops = [(2 * hop if k == 1 else hop, self.used[k]) for k in range(1, self.stages)]
        self.at_least(self.z, plus(*hops))

    def add_stage(self, k):
        inside = [plus((1, x[k]), (-1, x[k - 1])) for x in self.x]
        for part in inside:
            self.at_least(self.used[k - 1], part)
        input_bytes, sent_bytes = self.border(inside)
        output = self.output(sent_bytes)
        cached = self.caching(inside, input_bytes)
        input_us = self.link_us + self.device["input_ns_per_byte"] * self.slowdown / 1e3
        parts = [
            (self.device["invoke_ns"] * self.slowdown / 1e3, self.used[k - 1]),
            (input_us, input_bytes),
            (1, output),
            (-1, self.hidden(inside, output, cached)),
        ]
        for v, part in enumerate(inside):
            parts.append((self.compute_us(v), part))
            parts.append((self.streaming_us(v)[0], plus((1, part), (-1, cached.get(v, NOTHING)))))
        self.at_least(self.z, plus(*parts))

    def compute_us(self, v):
        return self.operators[v]["cycles"] / self.device["clock_hz"] * 1e6

    def streaming_us(self, v):
        """When v is streamed: beyond its computation, and during it. Whole ns, as simulated."""
        link = self.operators[v]["streamed_bytes"] * self.link_us
        crossings = self.operators[v]["crossings"]
        compute = self.compute_us(v)
        beyond = link * crossings if crossings > 1 else max(0.0, link - compute)
        during = 0.0 if crossings > 1 else min(link, compute)
        return round(beyond, 3), round(during, 3)

    def border(self, inside):
        """Bytes in and out: each tensor once, however many readers it has on a side."""
        received, sent = [], []
        for tensor in self.tensors:
            written = inside[tensor["writer"]] if tensor["writer"] >= 0 else NOTHING
            enters, leaves = self.column(), self.column()
            for reader in tensor["readers"]:
                self.at_least(enters, plus((1, inside[reader]), (-1, written)))
                self.at_least(leaves, plus((1, written), (-1, inside[reader])))
            if tensor["is_output"]:
                self.at_least(leaves, written)
            # Nor more than that, or a feigned input would shrink the capacity to excuse skipping.
            self.at_least(plus((1, constant(1.0)), (-1, written)), enters)
            self.at_least(plus(*[(1, inside[reader]) for reader in tensor["readers"]]), enters)
            received.append((tensor["bytes"], enters))
            sent.append((tensor["sent_bytes"], leaves))
        return plus(*received), plus(*sent)

    def output(self, sent_bytes):
        """Convex in the bytes: the larger of two lines, since the rate beyond is the steeper."""
        beyond = self.device["output_ns_per_byte"] * self.slowdown / 1e3
        assert beyond >= self.link_us
        output = self.column(high=highspy.kHighsInf)
        self.at_least(output, plus((self.link_us, sent_bytes)))
        window = constant(self.device["output_window_bytes"])
        self.at_least(output, plus((beyond, sent_bytes), (self.link_us - beyond, window)))
        return output

    def caching(self, inside, input_bytes):
        """In the greedy order: v is cached if, and only if, it fits beside those before it."""
        # Not clipped at 0: an input of 13 MB alone takes longer than any bottleneck at hand.
        full = self.device["capacity_bytes"] / KIB
        capacity = plus((1, constant(full)), (-self.device["input_share"] / KIB, input_bytes))
        cached, filled = {}, NOTHING
        for v in self.caching_order:
            size = self.operators[v]["cached_bytes"] / KIB
            cached[v] = self.column(integer=True)
            self.at_least(inside[v], cached[v])
            not_skipped = plus((1, constant(1.0)), (-1, inside[v]), (1, cached[v]))
            with_v = plus((1, filled), (1, constant(size)))
            self.at_least(plus((1, with_v), (full, not_skipped)), capacity)
            filled = plus((1, filled), (size, cached[v]))
        self.at_least(capacity, filled)
        return cached

    def hidden(self, inside, output, cached):
        """How much of the output the last operator, in file order, hides."""
        share = 1 - self.device["exposed_share"]
        last = [self.column() for _ in inside]
        self.at_least(constant(1.0), plus(*[(1, part) for part in last]))
        not_before, busy = NOTHING, []
        for v in reversed(range(len(inside))):
            self.at_least(inside[v], last[v])
            not_before = plus((1, not_before), (1, last[v]))
            self.at_least(not_before, inside[v])  # so `last` is binary without being declared so
            streams = self.column()
            self.at_least(streams, plus((1, last[v]), (-1, cached.get(v, NOTHING))))
            busy += [(self.compute_us(v), last[v]), (-self.streaming_us(v)[1], streams)]
        hidden = self.column(high=highspy.kHighsInf)
        self.at_least(plus((share, output)), hidden)
        self.at_least(plus((share, plus(*busy))), hidden)
        return hidden

    def fix(self, stage_of):
        for x, stage in zip(self.x, stage_of):
            for k in range(1, self.stages):
                self.solver.changeColBounds(next(iter(x[k])), float(stage < k), float(stage < k))

    def solve(self, seconds):
        options = {"time_limit": seconds, "threads": 2, "mip_rel_gap": 0.0, "mip_abs_gap": 1e-4}
        options |= {"mip_feasibility_tolerance": 1e-7, "primal_feasibility_tolerance": 1e-8}
        for name, value in options.items():
            self.solver.setOptionValue(name, value)
        self.solver.run()
        return self.solver.modelStatusToString(self.solver.getModelStatus())

    def value_ns(self):
        return self.solver.getInfo().objective_function_value * 1e3

    def bound_ns(self):
        return self.solver.getInfo().mip_dual_bound * 1e3

    def segmentation(self):
        """The stage of each operator; none without a solution."""
        if self.solver.getInfo().primal_solution_status != 2:
            return None
        values = self.solver.getSolution().col_value
        return [sum(values[next(iter(c))] < 0.5 for c in x[1:-1]) for x in self.x]
