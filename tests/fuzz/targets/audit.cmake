kms_fuzz(fuzz-audit-line SOURCES fuzz_audit_line.c LINK kms-audit)
