# kms_proto(target ROOT dir FILES a/b.proto ...): C code for protobuf-c in the build tree, compiled without our warnings
# since it is not our code. Includes read "kms/v1/crypto.pb-c.h".
find_program(PROTOC_C protoc-c REQUIRED)
function(kms_proto target)
    cmake_parse_arguments(ARG "" "ROOT" "FILES" ${ARGN})
    set(out ${CMAKE_CURRENT_BINARY_DIR}/gen)
    file(MAKE_DIRECTORY ${out})
    foreach(file ${ARG_FILES})
        string(REGEX REPLACE "\\.proto$" ".pb-c" stem ${file})
        add_custom_command(OUTPUT ${out}/${stem}.c ${out}/${stem}.h
            COMMAND ${PROTOC_C} --c_out=${out} -I ${ARG_ROOT} ${ARG_ROOT}/${file}
            DEPENDS ${ARG_ROOT}/${file} VERBATIM)
        list(APPEND generated ${out}/${stem}.c ${out}/${stem}.h)
    endforeach()
    add_library(${target} STATIC ${generated})
    target_include_directories(${target} SYSTEM PUBLIC ${out})
    target_link_libraries(${target} PUBLIC PkgConfig::PROTOBUF_C)
    add_custom_target(${target}-generated DEPENDS ${generated})
endfunction()
