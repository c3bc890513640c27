kms_fuzz(fuzz-ciphertext SOURCES fuzz_ciphertext.c LINK kms-base)
kms_fuzz(fuzz-conf SOURCES fuzz_conf.c LINK kms-conf)
