# cmake -DFROM=file -DTO=file.c -DHEADER=header -DFUNCTION=name -P embed.cmake: C whose function gives the bytes of a file.
file(READ ${FROM} bytes HEX)
string(REGEX REPLACE "(..)" "0x\\1," bytes "${bytes}")
file(WRITE ${TO} "#include \"${HEADER}\"\n\nstatic const uint8_t bytes[] = {${bytes}};\n\n"
    "struct kms_bytes ${FUNCTION}(void)\n{\n    return kms_bytes_of(bytes, sizeof bytes);\n}\n")
