# venv_tables_page(PAGE SECTION PROGRAM WORD…): a page whose tables a program prints, one for each word, from the library
# itself. PROGRAM.c and PAGE.SECTION.in are in the folder that calls it.
function(venv_tables_page name section program)
  set(page ${PROJECT_BINARY_DIR}/man/man${section}/${name}.${section})
  add_executable(${program} EXCLUDE_FROM_ALL ${program}.c ${PROJECT_SOURCE_DIR}/man/tables/keys.c)
  target_include_directories(${program} PRIVATE ${PROJECT_SOURCE_DIR}/lib ${PROJECT_SOURCE_DIR}/man/tables)
  target_link_libraries(${program} PRIVATE venv_static venv_flags)
  set_target_properties(${program} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_CURRENT_BINARY_DIR})
  list(JOIN ARGN "," words)
  set(script ${PROJECT_SOURCE_DIR}/man/tables/page.cmake)
  set(input ${CMAKE_CURRENT_SOURCE_DIR}/${name}.${section}.in)
  add_custom_command(
    OUTPUT ${page}
    COMMAND ${CMAKE_COMMAND} -DPROGRAM=$<TARGET_FILE:${program}> -DINPUT=${input} -DOUTPUT=${page} -DWORDS=${words} -P ${script}
    DEPENDS ${program} ${input} ${script} VERBATIM)
  add_custom_target(man_${program} ALL DEPENDS ${page})
  install(FILES ${page} DESTINATION ${CMAKE_INSTALL_MANDIR}/man${section})
endfunction()
