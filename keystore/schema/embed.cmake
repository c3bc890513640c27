# cmake -DSCRIPTS="a.sql;b.sql" -DOUT=file.c -P embed.cmake: the migrations of one dialect as a C table.
# The number of a script is the schema version that it leads to.
set(rows "")
foreach(script ${SCRIPTS})
    get_filename_component(name ${script} NAME)
    string(REGEX MATCH "^0*([1-9][0-9]*)_" number ${name})
    set(version ${CMAKE_MATCH_1})
    file(READ ${script} sql)
    string(REPLACE "\\" "\\\\" sql "${sql}")
    string(REPLACE "\"" "\\\"" sql "${sql}")
    string(REPLACE "\n" "\\n\"\n     \"" sql "${sql}")
    string(APPEND rows "    {${version}, \"${name}\",\n     \"${sql}\"},\n")
endforeach()
file(WRITE ${OUT} "/* Made by keystore/schema/embed.cmake. */
#include \"keystore/sqlite/migrate.h\"

const struct kms_migration kms_sqlite_migrations[] = {
${rows}};
const size_t kms_sqlite_migration_count = sizeof kms_sqlite_migrations / sizeof kms_sqlite_migrations[0];
")
