kms_bench(bench-pool SOURCES bench_pool.c LINK kms-hsm-fixture kms-harness)
