# Puts the built web UI (dashboards/ui/dist) into the program: every file compressed, with its type
# and a tag made of its content. Node is not needed; `ui` rebuilds the files where it is there.

function(tarsier_embed_ui target)
  set(dist ${CMAKE_SOURCE_DIR}/dashboards/ui/dist)
  set(out ${CMAKE_BINARY_DIR}/ui)
  file(MAKE_DIRECTORY ${out})
  file(GLOB_RECURSE files CONFIGURE_DEPENDS RELATIVE ${dist} ${dist}/*)
  list(SORT files)
  find_program(GZIP_PROGRAM gzip REQUIRED)
  set(assembly ".section .rodata\n")
  set(declarations "")
  set(rows "")
  set(number 0)
  foreach(file IN LISTS files)
    if(file MATCHES "(^|/)\\.")
      continue()
    endif()
    set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${dist}/${file})
    execute_process(COMMAND ${GZIP_PROGRAM} -9nc ${dist}/${file} OUTPUT_FILE ${out}/${number}.gz COMMAND_ERROR_IS_FATAL ANY)
    file(SHA256 ${dist}/${file} hash)
    string(SUBSTRING ${hash} 0 16 tag)
    set(symbol ui_file_${number})
    string(APPEND assembly ".global ${symbol}_begin\n.global ${symbol}_end\n${symbol}_begin:\n.incbin \"${out}/${number}.gz\"\n${symbol}_end:\n")
    string(APPEND declarations "extern \"C\" const std::byte ${symbol}_begin[];\nextern \"C\" const std::byte ${symbol}_end[];\n")
    string(APPEND rows "      {\"${file}\", \"\\\"${tag}\\\"\", {${symbol}_begin, ${symbol}_end}},\n")
    math(EXPR number "${number} + 1")
  endforeach()
  string(APPEND assembly ".section .note.GNU-stack,\"\",%progbits\n")
  file(CONFIGURE OUTPUT ${out}/ui_files.S CONTENT "${assembly}" @ONLY)
  file(CONFIGURE OUTPUT ${out}/ui_files.cc CONTENT
"// Made by dashboards/embed.cmake.
#include \"server/ui.h\"

${declarations}
namespace tarsier::server {

std::span<const UiFile> ui_files() {
  static const std::vector<UiFile> files = {
${rows}  };
  return files;
}

}  // namespace tarsier::server
" @ONLY)
  # The text does not change with the files' content, the object does.
  file(GLOB blobs ${out}/*.gz)
  set_source_files_properties(${out}/ui_files.S PROPERTIES OBJECT_DEPENDS "${blobs}")
  target_sources(${target} PRIVATE ${out}/ui_files.cc ${out}/ui_files.S)
endfunction()

find_program(NPM_PROGRAM npm)
if(NPM_PROGRAM)
  add_custom_target(ui
    COMMAND ${NPM_PROGRAM} ci --ignore-scripts
    COMMAND ${NPM_PROGRAM} run build
    COMMAND ${CMAKE_COMMAND} -DUI=${CMAKE_SOURCE_DIR}/dashboards/ui -DWRITE=ON -P ${CMAKE_SOURCE_DIR}/dashboards/source_hash.cmake
    WORKING_DIRECTORY ${CMAKE_SOURCE_DIR}/dashboards/ui
    COMMENT "Building the web UI" VERBATIM USES_TERMINAL)
endif()
