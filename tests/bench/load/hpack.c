/* Header blocks: integers (5.1), strings (5.2), fields (6). Section numbers are RFC 7541's. */
#include "tests/bench/load/hpack.h"

#include <string.h>

enum { STATIC_ENTRIES = 61, ENTRY_OVERHEAD_BYTES = 32 };

struct block {
    const uint8_t *at, *end;
};

struct string {
    const char *text; /* NULL: Huffman code, which is not read here */
    uint32_t len;
};

static bool read_integer(struct block *block, unsigned prefix_bits, uint32_t *ret_value)
{
    if (block->at == block->end) return false;
    uint32_t mask = (1u << prefix_bits) - 1, value = *block->at++ & mask;
    for (unsigned shift = 0; value >= mask || shift > 0; shift += 7) {
        if (shift > 21 || block->at == block->end) return false;
        uint8_t byte = *block->at++;
        value += (uint32_t)(byte & 0x7f) << shift;
        if ((byte & 0x80) == 0) break;
    }
    *ret_value = value;
    return true;
}

static bool read_string(struct block *block, struct string *ret_string)
{
    if (block->at == block->end) return false;
    bool huffman = (*block->at & 0x80) != 0;
    uint32_t len;
    if (!read_integer(block, 7, &len) || len > (size_t)(block->end - block->at)) return false;
    *ret_string = (struct string){huffman ? NULL : (const char *)block->at, len};
    block->at += len;
    return true;
}

static void evict(struct load_hpack *table, uint32_t bytes)
{
    while (table->count > 0 &&
           (table->bytes + bytes > LOAD_HPACK_TABLE_BYTES || table->count == LOAD_HPACK_ENTRIES)) {
        unsigned oldest = (table->newest + LOAD_HPACK_ENTRIES - table->count + 1) % LOAD_HPACK_ENTRIES;
        table->bytes -= table->entries[oldest].bytes;
        table->count--;
    }
}

static void insert(struct load_hpack *table, struct load_hpack_entry entry)
{
    evict(table, entry.bytes);
    if (entry.bytes > LOAD_HPACK_TABLE_BYTES) return; /* 4.4: it empties the table */
    table->newest = (table->newest + 1) % LOAD_HPACK_ENTRIES;
    table->entries[table->newest] = entry;
    table->count++;
    table->bytes += entry.bytes;
}

static bool look_up(const struct load_hpack *table, uint32_t index, struct load_hpack_entry *ret_entry)
{
    if (index == 0 || index > STATIC_ENTRIES + table->count) return false;
    if (index <= STATIC_ENTRIES)
        *ret_entry = (struct load_hpack_entry){.status = LOAD_NOT_STATUS};
    else
        *ret_entry = table->entries[(table->newest + LOAD_HPACK_ENTRIES - (index - STATIC_ENTRIES - 1)) %
                                    LOAD_HPACK_ENTRIES];
    return true;
}

static int status_of(struct string value)
{
    if (value.text == NULL || value.len == 0 || value.len > 2) return LOAD_STATUS_UNREADABLE;
    int status = 0;
    for (uint32_t i = 0; i < value.len; i++) status = status * 10 + (value.text[i] - '0');
    return status;
}

/* A literal field: its name by index or in full, then its value. */
static bool read_literal(const struct load_hpack *table, struct block *block, unsigned prefix_bits,
                         struct load_hpack_entry *ret_entry)
{
    uint32_t index;
    struct string name = {NULL, 0}, value;
    struct load_hpack_entry named = {.status = LOAD_NOT_STATUS};
    if (!read_integer(block, prefix_bits, &index)) return false;
    if (index > 0 ? !look_up(table, index, &named) : !read_string(block, &name)) return false;
    if (!read_string(block, &value)) return false;
    bool is_status = index > 0 ? named.status != LOAD_NOT_STATUS
                               : name.text != NULL && name.len == 11 && !memcmp(name.text, "grpc-status", 11);
    /* The length of an indexed name is not known here; the table is never nearly full. */
    *ret_entry = (struct load_hpack_entry){.bytes = ENTRY_OVERHEAD_BYTES + name.len + value.len,
                                           .status = is_status ? status_of(value) : LOAD_NOT_STATUS};
    return true;
}

bool load_hpack_read(struct load_hpack *table, const uint8_t *data, size_t len, int *ret_status)
{
    struct block block = {data, data + len};
    while (block.at < block.end) {
        struct load_hpack_entry field = {.status = LOAD_NOT_STATUS};
        uint8_t first = *block.at;
        uint32_t index;
        if (first & 0x80) { /* indexed (6.1) */
            if (!read_integer(&block, 7, &index) || !look_up(table, index, &field)) return false;
        } else if (first & 0x40) { /* literal, kept in the table (6.2.1) */
            if (!read_literal(table, &block, 6, &field)) return false;
            insert(table, field);
        } else if (first & 0x20) { /* new table size (6.3) */
            if (!read_integer(&block, 5, &index)) return false;
        } else if (!read_literal(table, &block, 4, &field)) {
            return false;
        }
        if (field.status != LOAD_NOT_STATUS) *ret_status = field.status;
    }
    return true;
}
