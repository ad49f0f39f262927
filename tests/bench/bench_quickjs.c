/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The expressions of bench_expr.c in QuickJS, called from C. Built only where it is: Debian 12
 * has no package of it, so its sources may be given (QUICKJS_SOURCE). Prints lines "NAME NS".
 */
#if __has_include(<quickjs/quickjs.h>)
#include <quickjs/quickjs.h>
#else
#include "quickjs.h"
#endif

#include <stdio.h>
#include <string.h>
#include <time.h>

#ifndef QUICKJS_VERSION
#define QUICKJS_VERSION "of the system"
#endif

static const char setup[] =
    "const states = ['idle', 'busy', 'down', 'drain'];\n"
    "globalThis.agents = [];\n"
    "for (let i = 0; i < 1000; i++) agents.push({name: 'node' + i, memfree: i % 1024, load1: (i * 37 % 100) / 10.0,\n"
    "  state: states[i * 7 % 4], cores: 8});\n"
    "globalThis.vars = {name: 'node0100', memfree: 100, load1: 1.5, state: 'busy', cores: 8};\n"
    "globalThis.rule_slots = (memfree, load1, state) => memfree < 512 && load1 > 4.0 || state == 'idle';\n"
    "globalThis.rule_map = v => v.memfree < 512 && v.load1 > 4.0 || v.state == 'idle';\n"
    "globalThis.count_1 = l => { let n = 0; for (let i = 0; i < l.length; i++) if (l[i].memfree > 512) n++; return n; };\n"
    "globalThis.count_2 = l => { let n = 0; for (let i = 0; i < l.length; i++) { const a = l[i];\n"
    "  if (a.load1 < 5.0 && a.state == 'idle') n++; } return n; };\n";

static double now_ns(void)
{
    struct timespec time;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
    return (double)time.tv_sec * 1e9 + (double)time.tv_nsec;
}

static void run(JSContext *js, const char *name, const char *function, int count, JSValue *args, long rounds)
{
    JSValue global = JS_GetGlobalObject(js), callee = JS_GetPropertyStr(js, global, function);
    double least = 1e300;
    for (int i = 0; i < 15; i++) {
        double start = now_ns();
        for (long round = 0; round < rounds; round++)
            JS_FreeValue(js, JS_Call(js, callee, JS_UNDEFINED, count, args));
        double each = (now_ns() - start) / (double)rounds;
        least = each < least ? each : least;
    }
    printf("%s %.2f\n", name, least);
    JS_FreeValue(js, callee);
    JS_FreeValue(js, global);
}

int main(void)
{
    static const char rule[] = "memfree < 512 && load1 > 4.0 || state == 'idle'";
    JSRuntime *runtime = JS_NewRuntime();
    JSContext *js = JS_NewContext(runtime);
    JS_FreeValue(js, JS_Eval(js, setup, strlen(setup), "setup", JS_EVAL_TYPE_GLOBAL));
    JSValue global = JS_GetGlobalObject(js);
    JSValue three[3] = { JS_NewInt32(js, 100), JS_NewFloat64(js, 1.5), JS_NewString(js, "busy") };
    JSValue vars = JS_GetPropertyStr(js, global, "vars"), agents = JS_GetPropertyStr(js, global, "agents");
    run(js, "rule-slots", "rule_slots", 3, three, 200000);
    run(js, "rule-map", "rule_map", 1, &vars, 200000);
    run(js, "count-1", "count_1", 1, &agents, 500);
    run(js, "count-2", "count_2", 1, &agents, 500);
    double start = now_ns();
    for (int i = 0; i < 10000; i++)
        JS_FreeValue(js, JS_Eval(js, rule, strlen(rule), "rule", JS_EVAL_TYPE_GLOBAL | JS_EVAL_FLAG_COMPILE_ONLY));
    printf("compile %.0f\n", (now_ns() - start) / 10000);
    printf("version QuickJS %s\n", QUICKJS_VERSION);
    return 0; /* the process ends here, and what it holds with it */
}
