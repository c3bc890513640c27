kms_bench(kms-fill SOURCES fill.c LINK kms-service kms-conf kms-hsm-pool)
