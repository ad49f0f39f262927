# One folder of lib/ = one object library; all of them make libvenv.
#
#   venv_folder(NAME SOURCES a.c b.c [PACKAGES libxml-2.0 …])
#
# PACKAGES are pkg-config names. Naming a foreign library in a second folder breaks the rule that
# each appears in one; tests/house finds that.

set_property(GLOBAL PROPERTY VENV_FOLDERS "")
set_property(GLOBAL PROPERTY VENV_PACKAGES "")

function(venv_folder name)
  cmake_parse_arguments(ARG "" "" "SOURCES;PACKAGES" ${ARGN})
  add_library(venv_${name} OBJECT ${ARG_SOURCES})
  target_include_directories(venv_${name} PRIVATE
    ${PROJECT_SOURCE_DIR}/include ${PROJECT_SOURCE_DIR}/lib ${PROJECT_BINARY_DIR}/generated)
  target_link_libraries(venv_${name} PRIVATE venv_flags)
  foreach(package IN LISTS ARG_PACKAGES)
    string(MAKE_C_IDENTIFIER "${package}" id)
    if(NOT TARGET PkgConfig::VENV_${id})
      pkg_check_modules(VENV_${id} REQUIRED IMPORTED_TARGET GLOBAL ${package})
    endif()
    target_link_libraries(venv_${name} PRIVATE PkgConfig::VENV_${id})
    set_property(GLOBAL APPEND PROPERTY VENV_PACKAGES ${package})
  endforeach()
  if(VENV_TESTS AND name IN_LIST VENV_SEEDED_FOLDERS)
    # The same once more for venv_seeded, with the faults of tests/sim/seeded.def (lib/base/seeded.h).
    add_library(venv_${name}_seeded OBJECT EXCLUDE_FROM_ALL ${ARG_SOURCES})
    target_compile_definitions(venv_${name}_seeded PRIVATE VENV_SEEDED_FAULTS)
    target_include_directories(venv_${name}_seeded PRIVATE
      ${PROJECT_SOURCE_DIR}/include ${PROJECT_SOURCE_DIR}/lib ${PROJECT_SOURCE_DIR}/tests ${PROJECT_BINARY_DIR}/generated)
    get_target_property(libraries venv_${name} LINK_LIBRARIES)
    target_link_libraries(venv_${name}_seeded PRIVATE ${libraries})
  endif()
  set_property(GLOBAL APPEND PROPERTY VENV_FOLDERS ${name})
endfunction()
