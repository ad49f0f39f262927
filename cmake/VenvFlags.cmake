# Warnings and hardening, the same for every target of the project.
#
# The list follows the OpenSSF compiler hardening guide as far as gcc 12 and clang 14 know it. Each
# flag that a compiler may lack is probed, so that one list serves both.

add_library(venv_flags INTERFACE)

set(candidates
  -Wall -Wextra -Wpedantic -Wformat=2 -Wconversion -Wimplicit-fallthrough -Wvla -Wshadow
  -Wstrict-prototypes -Wmissing-prototypes -Wtrampolines -Wbidi-chars=any -Wundef
  -Werror
  -fno-delete-null-pointer-checks -fno-strict-overflow -fno-strict-aliasing -fexceptions
  -fstack-protector-strong -fstack-clash-protection -fcf-protection=full)
if(VENV_SANITIZE)
  # With its instrumentation gcc loses the ranges that it derives this warning from.
  list(APPEND candidates -Wno-format-truncation)
else()
  list(APPEND candidates -ftrivial-auto-var-init=zero -fzero-call-used-regs=used-gpr)
endif()
foreach(flag IN LISTS candidates)
  string(MAKE_C_IDENTIFIER "VENV_HAS_${flag}" name)
  check_c_compiler_flag("${flag} -Werror" ${name})
  if(${name})
    target_compile_options(venv_flags INTERFACE $<$<COMPILE_LANGUAGE:C>:${flag}>)
  endif()
endforeach()

# The statement expressions of the cleanup macros are used by name in both compilers.
target_compile_definitions(venv_flags INTERFACE _GNU_SOURCE)

# Assertions stay on in every build, an administrator's too: a core that is wrong about itself ends, and its
# successor goes on from what is on disk. CMake's optimised build types would switch them off; this comes after.
target_compile_options(venv_flags INTERFACE -UNDEBUG)
target_link_options(venv_flags INTERFACE
  -Wl,-z,relro -Wl,-z,now -Wl,-z,noexecstack -Wl,-z,separate-code -Wl,--as-needed)

if(VENV_SANITIZE)
  target_compile_options(venv_flags INTERFACE
    -fsanitize=${VENV_SANITIZE} -fno-sanitize-recover=all -fno-omit-frame-pointer -O1)
  target_link_options(venv_flags INTERFACE -fsanitize=${VENV_SANITIZE})
elseif(NOT CMAKE_BUILD_TYPE STREQUAL "Debug")
  # Fortify needs optimisation, and sanitizers have checks of their own.
  target_compile_options(venv_flags INTERFACE -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=3)
endif()
if(VENV_FUZZ)
  target_compile_options(venv_flags INTERFACE -fsanitize=fuzzer-no-link)
endif()
if(VENV_COVERAGE)
  target_compile_options(venv_flags INTERFACE --coverage -O0)
  target_link_options(venv_flags INTERFACE --coverage)
endif()
