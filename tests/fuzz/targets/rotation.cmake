kms_fuzz(fuzz-rotation SOURCES fuzz_rotation.c LINK kms-rotators kms-secrets PkgConfig::JANSSON)
