kms_bench(bench-audit SOURCES bench_audit.c LINK kms-audit)
