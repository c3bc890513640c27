kms_bench(kms-load SOURCES load/main.c load/target.c load/slice.c load/hold.c load/session.c load/hpack.c load/transport.c
    load/request.c load/histogram.c load/cpu.c
    LINK kms-base kms-proto OpenSSL::SSL PkgConfig::JANSSON m)
