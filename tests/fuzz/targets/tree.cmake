kms_fuzz(fuzz-tree SOURCES ${CMAKE_CURRENT_LIST_DIR}/../fuzz_tree.c LINK kms-kmsctl-parts)
