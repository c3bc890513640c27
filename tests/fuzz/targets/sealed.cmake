kms_fuzz(fuzz-sealed SOURCES ${CMAKE_CURRENT_LIST_DIR}/../fuzz_sealed.c LINK kms-kmsctl-parts)
