kms_fuzz(fuzz-rpc-decode SOURCES fuzz_rpc_decode.c LINK kms-rpc kms-service)
