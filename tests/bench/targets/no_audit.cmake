# kmsd with the audit log switched off, to compare with. Only the bench has it: nothing installs it.
get_target_property(sources kmsd SOURCES)
get_target_property(folder kmsd SOURCE_DIR)
list(TRANSFORM sources PREPEND ${folder}/)
kms_bench(kmsd-no-audit SOURCES no_audit.c ${sources} LINK kms-conf kms-rpc kms-jobs kms-service)
foreach(name kms_record_of kms_audit_append kms_audit_commit kms_audit_close)
    target_link_options(kmsd-no-audit PRIVATE -Wl,--wrap=${name})
endforeach()
