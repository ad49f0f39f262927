# Puts what `manager_tables` prints in the place of @manager@ of the page.
file(READ ${INPUT} page)
execute_process(COMMAND ${PROGRAM} OUTPUT_VARIABLE table RESULT_VARIABLE code)
if(NOT code EQUAL 0)
  message(FATAL_ERROR "${PROGRAM}: ${code}")
endif()
string(REPLACE "@manager@\n" "${table}" page "${page}")
file(WRITE ${OUTPUT} "${page}")
