kms_fuzz(fuzz-hsm-frame SOURCES fuzz_hsm_frame.c LINK kms-hsm-frames)
