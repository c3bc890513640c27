kms_fuzz(fuzz-file SOURCES fuzz_file.c LINK kms-client)
