# Puts what `venvctl complete --roff` prints into the page.
cmake_minimum_required(VERSION 3.25) # else @VERSION@ below is replaced before it is looked for
execute_process(COMMAND ${PROGRAM} complete --roff OUTPUT_VARIABLE tables RESULT_VARIABLE code)
if(NOT code EQUAL 0)
  message(FATAL_ERROR "${PROGRAM} complete --roff: ${code}")
endif()
file(READ ${INPUT} page)
string(REPLACE "@VERSION@" "${VERSION}" page "${page}")
string(REPLACE "@TABLES@\n" "${tables}" page "${page}")
file(WRITE ${OUTPUT} "${page}")
