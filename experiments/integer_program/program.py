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
        self.add_used()
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

    def add_used(self):
        """Empty stages come last."""
        self.used = [self.column() for _ in range(self.stages)]
        for before, after in zip(self.used, self.used[1:]):
            self.at_least(before, after)

    def add_stage(self, k):
        inside = [plus((1, x[k]), (-1, x[k - 1])) for x in self.x]
        for part in inside:
            self.at_least(self.used[k - 1], part)
        input_bytes, sent_bytes = self.border(inside)
        cached = self.caching(inside)
        per_input = self.link_us + self.device["input_ns_per_byte"] * self.slowdown / 1e3
        per_output = self.link_us + self.device["output_ns_per_byte"] * self.slowdown / 1e3
        fixed = self.device["invoke_ns"] * self.slowdown / 1e3
        fixed += self.instructions_us(self.device["segment_instruction_bytes"])
        parts = [(fixed, self.used[k - 1]), (per_input, input_bytes), (per_output, sent_bytes)]
        for v, part in enumerate(inside):
            instructions = self.instructions_us(self.operators[v]["instruction_bytes"])
            parts.append((self.compute_us(v) + instructions, part))
            parts.append((self.streaming_us(v), plus((1, part), (-1, cached.get(v, NOTHING)))))
        self.at_least(self.z, plus(*parts))

    def compute_us(self, v):
        return self.operators[v]["cycles"] / self.device["clock_hz"] * 1e6

    def instructions_us(self, count):
        return count * self.device["instruction_share"] * self.link_us

    def streaming_us(self, v):
        """Beyond its computation, when v is streamed. Whole ns, as simulated."""
        link = self.operators[v]["parameter_bytes"] * self.link_us
        crossings = self.operators[v]["crossings"]
        beyond = link * crossings if crossings > 1 else max(0.0, link - self.compute_us(v))
        return round(beyond, 3)

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
            received.append((tensor["bytes"], enters))
            sent.append((tensor["sent_bytes"], leaves))
        return plus(*received), plus(*sent)

    def rows(self, inside):
        """The most rows that an operator of the stage reserves, and no more."""
        rows = self.column(high=highspy.kHighsInf)
        chosen = [(self.device["least_rows"], self.column())]
        for v, operator in enumerate(self.operators):
            if operator["rows_inside"] > self.device["least_rows"]:
                chosen.append((operator["rows_inside"], inside[v]))
            if operator["rows_at_input"] > max(operator["rows_inside"], self.device["least_rows"]):
                chosen.append((operator["rows_at_input"], self.reads_from_host(v, inside)))
        self.at_least(rows, constant(self.device["least_rows"]))
        largest = [(count, self.column()) for count, _ in chosen]
        self.at_least(plus(*largest), rows)
        self.at_least(constant(1.0), plus(*[(1, column) for _, column in largest]))
        for (count, applies), (_, column) in list(zip(chosen, largest))[1:]:
            self.at_least(rows, plus((count, applies)))
            self.at_least(applies, column)
        return rows

    def reads_from_host(self, v, inside):
        """Whether v is in the stage and reads a tensor that is not written there."""
        reads = self.column()
        outside = []
        for tensor in self.tensors:
            if v in tensor["readers"]:
                written = inside[tensor["writer"]] if tensor["writer"] >= 0 else NOTHING
                self.at_least(reads, plus((1, inside[v]), (-1, written)))
                outside.append((1, plus((1, constant(1.0)), (-1, written))))
        self.at_least(inside[v], reads)
        self.at_least(plus(*outside), reads)
        return reads

    def caching(self, inside):
        """In the greedy order: v is cached if, and only if, it fits beside those before it."""
        full = self.device["capacity_bytes"] / KIB
        capacity = plus((1, constant(full)), (-self.device["row_bytes"] / KIB, self.rows(inside)))
        cached, filled = {}, NOTHING
        for v in self.caching_order:
            size = self.operators[v]["parameter_bytes"] / KIB
            cached[v] = self.column(integer=True)
            self.at_least(inside[v], cached[v])
            not_skipped = plus((1, constant(1.0)), (-1, inside[v]), (1, cached[v]))
            with_v = plus((1, filled), (1, constant(size)))
            self.at_least(plus((1, with_v), (full, not_skipped)), capacity)
            filled = plus((1, filled), (size, cached[v]))
        self.at_least(capacity, filled)
        return cached

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
