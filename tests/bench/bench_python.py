# SPDX-License-Identifier: Apache-2.0
# The expressions of bench_expr.c in Python: eval() of compiled code. Prints lines "NAME NS".
import sys
import time

states = ["idle", "busy", "down", "drain"]
agents = [{"name": f"node{i:04d}", "memfree": i % 1024, "load1": (i * 37 % 100) / 10.0,
           "state": states[i * 7 % 4], "cores": 8} for i in range(1000)]
variables = {"memfree": 100, "load1": 1.5, "state": "busy"}
rule = "memfree < 512 and load1 > 4.0 or state == 'idle'"


def best(function, rounds):
    least = 1e300
    for _ in range(10):
        start = time.thread_time_ns()
        for _ in range(rounds):
            function()
        least = min(least, (time.thread_time_ns() - start) / rounds)
    return least


def show(name, source, names, rounds):
    code = compile(source, "rule", "eval")
    scope = dict(names)
    print(f"{name} {best(lambda: eval(code, scope), rounds):.2f}")


# Python keeps variables in a dictionary: slots and map are the same there.
show("rule-slots", rule, variables, 20000)
show("rule-map", rule, variables, 20000)
show("count-1", "len([a for a in agents if a['memfree'] > 512])", {"agents": agents}, 100)
show("count-2", "len([a for a in agents if a['load1'] < 5.0 and a['state'] == 'idle'])", {"agents": agents}, 100)
print(f"compile {best(lambda: compile(rule, 'rule', 'eval'), 500):.0f}")
print(f"version Python {sys.version.split()[0]}")
