# What every target of the project is compiled with: C17, warnings as errors, hardening, and the sanitizers of the preset.
set(KMS_SANITIZE "" CACHE STRING "Sanitizers: address,undefined or thread; empty for none")
option(KMS_COVERAGE "Count which lines run" OFF)
option(KMS_FUZZ "Build the libFuzzer targets (needs clang)" OFF)

set(CMAKE_C_STANDARD 17)
set(CMAKE_C_STANDARD_REQUIRED ON)
set(CMAKE_C_EXTENSIONS ON)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)

add_library(kms_flags INTERFACE)
target_include_directories(kms_flags INTERFACE ${PROJECT_SOURCE_DIR})
target_compile_definitions(kms_flags INTERFACE _GNU_SOURCE KMS_VERSION="${PROJECT_VERSION}"
    $<$<CONFIG:Release>:_FORTIFY_SOURCE=2>)
target_compile_options(kms_flags INTERFACE
    -Wall -Wextra -Werror -Wshadow -Wconversion -Wsign-conversion -Wstrict-prototypes -Wmissing-prototypes
    -Wformat=2 -Wvla -Wcast-qual -Wpointer-arith -Wundef -Wwrite-strings
    -fstack-protector-strong -fno-omit-frame-pointer -fno-common)
target_link_options(kms_flags INTERFACE -Wl,-z,relro,-z,now,-z,noexecstack)
if(KMS_SANITIZE)
    target_compile_options(kms_flags INTERFACE -fsanitize=${KMS_SANITIZE} -fno-sanitize-recover=all)
    target_link_options(kms_flags INTERFACE -fsanitize=${KMS_SANITIZE})
endif()
if(KMS_COVERAGE)
    target_compile_options(kms_flags INTERFACE --coverage)
    target_link_options(kms_flags INTERFACE --coverage)
endif()
if(KMS_FUZZ)
    target_compile_options(kms_flags INTERFACE -fsanitize=fuzzer-no-link)
endif()
