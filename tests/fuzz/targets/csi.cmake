kms_fuzz(fuzz-csi SOURCES ${CMAKE_CURRENT_LIST_DIR}/../fuzz_csi.c LINK kms-dialect kms-foreign-proto kms-service)
