kms_bench(bench-policy SOURCES bench_policy.c LINK kms-policy)
