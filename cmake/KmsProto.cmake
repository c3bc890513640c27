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
    set_target_properties(${target} PROPERTIES KMS_PROTO_FILES "${ARG_FILES}")
endfunction()

# kms_descriptors(out.c ROOT dir PROTOS target ... FILES a.proto ... HEADER h FUNCTION f): C whose function f, which h declares,
# gives the descriptor set of these targets' files (kms_proto) and of these, with all that they import.
function(kms_descriptors out)
    cmake_parse_arguments(ARG "" "ROOT;HEADER;FUNCTION" "PROTOS;FILES" ${ARGN})
    foreach(target ${ARG_PROTOS})
        get_target_property(files ${target} KMS_PROTO_FILES)
        list(APPEND ARG_FILES ${files})
    endforeach()
    list(TRANSFORM ARG_FILES PREPEND ${ARG_ROOT}/)
    add_custom_command(OUTPUT ${out}
        COMMAND ${PROTOC_C} -I ${ARG_ROOT} --include_imports --descriptor_set_out=${out}.fds ${ARG_FILES}
        COMMAND ${CMAKE_COMMAND} -DFROM=${out}.fds -DTO=${out} -DHEADER=${ARG_HEADER} -DFUNCTION=${ARG_FUNCTION}
            -P ${PROJECT_SOURCE_DIR}/cmake/embed.cmake
        BYPRODUCTS ${out}.fds
        DEPENDS ${ARG_FILES} ${PROJECT_SOURCE_DIR}/cmake/embed.cmake VERBATIM)
endfunction()
