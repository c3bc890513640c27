kms_fuzz(fuzz-reference SOURCES fuzz_reference.c LINK kms-env-parts)
