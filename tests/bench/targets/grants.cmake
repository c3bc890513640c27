kms_bench(bench_grants SOURCES bench_grants.c LINK kms-keys)
