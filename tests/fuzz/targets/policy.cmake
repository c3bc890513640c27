kms_fuzz(fuzz-policy SOURCES fuzz_policy.c LINK kms-policy)
