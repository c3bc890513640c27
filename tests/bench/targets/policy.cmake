kms_bench(bench_policy SOURCES bench_policy.c LINK kms-policy)
