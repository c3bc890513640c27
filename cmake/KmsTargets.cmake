# One way to declare each kind of target.

# kms_library(name SOURCES ... [LINK ...]): a static library of one room.
function(kms_library name)
    cmake_parse_arguments(ARG "" "" "SOURCES;LINK" ${ARGN})
    add_library(${name} STATIC ${ARG_SOURCES})
    target_link_libraries(${name} PRIVATE kms_flags)
    if(ARG_LINK)
        target_link_libraries(${name} ${ARG_LINK})
    endif()
endfunction()

# kms_program(name SOURCES ... LINK ... [DESTINATION dir]): an installed program.
function(kms_program name)
    cmake_parse_arguments(ARG "" "DESTINATION" "SOURCES;LINK" ${ARGN})
    add_executable(${name} ${ARG_SOURCES})
    target_link_libraries(${name} PRIVATE kms_flags ${ARG_LINK})
    set_target_properties(${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/bin
        INSTALL_RPATH "$ORIGIN/../${CMAKE_INSTALL_LIBDIR}") # finds libkms under any prefix
    if(NOT ARG_DESTINATION)
        set(ARG_DESTINATION ${CMAKE_INSTALL_BINDIR})
    endif()
    install(TARGETS ${name} RUNTIME DESTINATION ${ARG_DESTINATION})
endfunction()

# kms_test(name SOURCES ... LINK ...): one CUnit program for one source file, CTest label "unit". Made from the
# table in the source (tests/harness/suite.h).
function(kms_test name)
    cmake_parse_arguments(ARG "" "LABEL" "SOURCES;LINK" ${ARGN})
    add_executable(${name} ${ARG_SOURCES})
    target_link_libraries(${name} PRIVATE kms_flags ${ARG_LINK} kms-harness)
    set_target_properties(${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/tests)
    add_test(NAME ${name} COMMAND ${name})
    if(NOT ARG_LABEL)
        set(ARG_LABEL unit)
    endif()
    set_tests_properties(${name} PROPERTIES LABELS ${ARG_LABEL} TIMEOUT 300)
endfunction()

# kms_test_handshakes(test ...): these do TLS handshakes through gRPC, which may hold memory when the process ends
# (tests/harness/grpc.supp).
function(kms_test_handshakes)
    if(KMS_SANITIZE MATCHES address)
        set(leaks ${PROJECT_SOURCE_DIR}/tests/harness/grpc.supp)
        set_tests_properties(${ARGN} PROPERTIES TIMEOUT 400 ENVIRONMENT
            "ASAN_OPTIONS=detect_leaks=1:fast_unwind_on_malloc=0;LSAN_OPTIONS=suppressions=${leaks}:print_suppressions=0")
    endif()
endfunction()
