/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The expressions of bench_expr.c in Lua, called from C as an embedding program does; built once with Lua
 * 5.4 and once with LuaJIT. Prints lines "NAME NS".
 */
#include <lauxlib.h>
#include <lua.h>
#include <lualib.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static const char setup[] =
    "local states = {'idle', 'busy', 'down', 'drain'}\n"
    "agents = {}\n"
    "for i = 0, 999 do agents[i + 1] = {name = string.format('node%04d', i), memfree = i % 1024,\n"
    "  load1 = (i * 37 % 100) / 10.0, state = states[i * 7 % 4 + 1], cores = 8} end\n"
    "vars = {name = 'node0100', memfree = 100, load1 = 1.5, state = 'busy', cores = 8}\n"
    "function rule_slots(memfree, load1, state) return memfree < 512 and load1 > 4.0 or state == 'idle' end\n"
    "function rule_map(v) return v.memfree < 512 and v.load1 > 4.0 or v.state == 'idle' end\n"
    "function count_1(l) local n = 0 for i = 1, #l do local a = l[i] if a.memfree > 512 then n = n + 1 end end return n end\n"
    "function count_2(l) local n = 0 for i = 1, #l do local a = l[i]\n"
    "  if a.load1 < 5.0 and a.state == 'idle' then n = n + 1 end end return n end\n";

static double now_ns(void)
{
    struct timespec time;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
    return (double)time.tv_sec * 1e9 + (double)time.tv_nsec;
}

/* One call: the function and its arguments are pushed, the result is read. */
static void call(lua_State *lua, int function, int argument)
{
    lua_pushvalue(lua, function);
    if (argument) {
        lua_pushvalue(lua, argument);
        lua_call(lua, 1, 1);
    } else {
        lua_pushinteger(lua, 100);
        lua_pushnumber(lua, 1.5);
        lua_pushliteral(lua, "busy");
        lua_call(lua, 3, 1);
    }
    lua_pop(lua, 1);
}

static void run(lua_State *lua, const char *name, const char *function, const char *argument, long rounds)
{
    double least = 1e300;
    lua_settop(lua, 0);
    lua_getglobal(lua, function);
    if (argument)
        lua_getglobal(lua, argument);
    for (int i = 0; i < 15; i++) {
        double start = now_ns();
        for (long round = 0; round < rounds; round++)
            call(lua, 1, argument ? 2 : 0);
        double each = (now_ns() - start) / (double)rounds;
        least = each < least ? each : least;
    }
    printf("%s %.2f\n", name, least);
}

int main(void)
{
    static const char rule[] = "return memfree < 512 and load1 > 4.0 or state == 'idle'";
    lua_State *lua = luaL_newstate();
    if (!lua)
        return 1;
    luaL_openlibs(lua);
    if (luaL_dostring(lua, setup)) {
        fprintf(stderr, "bench_lua: %s\n", lua_tostring(lua, -1));
        return 1;
    }
    run(lua, "rule-slots", "rule_slots", NULL, 200000);
    run(lua, "rule-map", "rule_map", "vars", 200000);
    run(lua, "count-1", "count_1", "agents", 500);
    run(lua, "count-2", "count_2", "agents", 500);
    double least = 1e300;
    for (int i = 0; i < 15; i++) {
        double start = now_ns();
        for (int round = 0; round < 1000; round++) {
            if (luaL_loadbuffer(lua, rule, sizeof rule - 1, "rule"))
                return 1;
            lua_pop(lua, 1);
        }
        double each = (now_ns() - start) / 1000;
        least = each < least ? each : least;
    }
    printf("compile %.0f\n", least);
    /* LuaJIT says its own version; lua.h would say the version of the language */
    (void)luaL_dostring(lua, "return jit and jit.version or nil");
    printf("version %s\n", lua_isstring(lua, -1) ? lua_tostring(lua, -1) : LUA_RELEASE);
    lua_close(lua);
    return 0;
}
