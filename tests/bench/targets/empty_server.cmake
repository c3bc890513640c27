kms_bench(kmsd-empty SOURCES empty_server.c LINK kms-rpc kms-authn kms-rpc)
