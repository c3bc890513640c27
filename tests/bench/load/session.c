/* Frames written and read by hand: a library would cost more than the server that is measured. */
#include "tests/bench/load/session.h"

#include <stdlib.h>
#include <string.h>

#include "tests/bench/load/random.h"

enum {
    FRAME_HEAD_BYTES = 9,
    REQUEST_ROOM_BYTES = 512, /* of a call but for its body */
    ACKNOWLEDGE_EVERY_BYTES = 1 << 24
};

/* RFC 7540 section 6 */
enum frame_type {
    FRAME_DATA = 0,
    FRAME_HEADERS = 1,
    FRAME_RST_STREAM = 3,
    FRAME_SETTINGS = 4,
    FRAME_PING = 6,
    FRAME_GOAWAY = 7,
    FRAME_WINDOW_UPDATE = 8,
    FRAME_CONTINUATION = 9,
};
enum { FLAG_ACK = 1, FLAG_END_STREAM = 1, FLAG_END_HEADERS = 4, FLAG_PADDED = 8, FLAG_PRIORITY = 32 };
enum {
    SETTINGS_INITIAL_WINDOW_SIZE = 4,
    SETTING_BYTES = 6,
    DEFAULT_WINDOW_BYTES = 65535,
    STREAM_WINDOW_BYTES = 1 << 20, /* replies are shorter */
    CONNECTION_WINDOW_BYTES = 0x7fff0000,
    FRAME_MOST_BYTES = 16384, /* SETTINGS_MAX_FRAME_SIZE, if the server says nothing else */
};

struct frame {
    uint8_t type, flags;
    uint32_t stream;
    const uint8_t *payload;
    uint32_t len;
};

/* --- out --- */

static void put(struct load_session *s, const void *data, size_t len)
{
    kms_copy(s->output + s->output_len, data, len);
    s->output_len += len;
}

static void put_number(struct load_session *s, uint32_t value, unsigned bytes)
{
    while (bytes-- > 0) s->output[s->output_len++] = (uint8_t)(value >> (8 * bytes));
}

static void put_head(struct load_session *s, uint32_t len, enum frame_type type, unsigned flags,
                     uint32_t stream)
{
    put_number(s, len, 3);
    put_number(s, type, 1);
    put_number(s, flags, 1);
    put_number(s, stream, 4);
}

static void put_preface(struct load_session *s)
{
    static const char magic[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"; /* RFC 7540 section 3.5 */
    put(s, magic, sizeof magic - 1);
    put_head(s, SETTING_BYTES, FRAME_SETTINGS, 0, 0);
    put_number(s, SETTINGS_INITIAL_WINDOW_SIZE, 2);
    put_number(s, STREAM_WINDOW_BYTES, 4);
    put_head(s, 4, FRAME_WINDOW_UPDATE, 0, 0);
    put_number(s, CONNECTION_WINDOW_BYTES, 4);
}

/* A field that the server keeps in its table (RFC 7541 section 6.2.1). index of its name, 0: spelled. */
static void put_field(struct load_session *s, unsigned index, const char *name, const char *value)
{
    put_number(s, 0x40 | index, 1);
    if (index == 0) {
        put_number(s, (uint32_t)strlen(name), 1);
        put(s, name, strlen(name));
    }
    put_number(s, (uint32_t)strlen(value), 1);
    put(s, value, strlen(value));
}

static void put_fields(struct load_session *s)
{
    put_number(s, 0x83, 1);                                   /* :method POST */
    put_number(s, s->transport.ssl != NULL ? 0x87 : 0x86, 1); /* :scheme */
    if (s->named) {
        for (unsigned index = 66; index >= 62; index--) put_number(s, 0x80 | index, 1);
        return;
    }
    put_field(s, 4, ":path", s->request->path);
    put_field(s, 1, ":authority", "localhost");
    put_field(s, 0, "te", "trailers");
    put_field(s, 31, "content-type", "application/grpc");
    put_field(s, 58, "user-agent", "kms-load");
    s->named = true;
}

static size_t least(size_t a, int64_t b)
{
    if (b <= 0) return 0;
    return a < (uint64_t)b ? a : (size_t)b;
}

/* As much of the body as windows and room allow. */
static void put_body(struct load_session *s)
{
    while (s->body.stream != 0) {
        size_t left = s->request->len - s->body.at;
        int64_t room = LOAD_OUTPUT_BYTES - REQUEST_ROOM_BYTES - (int64_t)s->output_len;
        size_t len = least(least(least(least(left, FRAME_MOST_BYTES), s->send_window), s->body.window), room);
        if (len == 0) return;
        put_head(s, (uint32_t)len, FRAME_DATA, len == left ? FLAG_END_STREAM : 0, s->body.stream);
        put(s, s->request->message + s->body.at, len);
        s->body.at += len;
        s->body.window -= (int64_t)len;
        s->send_window -= (int64_t)len;
        if (len == left) s->body.stream = 0;
    }
}

bool load_session_call(struct load_session *s, uint64_t started_ns)
{
    if (s->in_flight >= LOAD_STREAMS || s->body.stream != 0 || s->send_window <= 0 ||
        s->output_len + 2 * REQUEST_ROOM_BYTES > LOAD_OUTPUT_BYTES)
        return false;
    uint32_t stream = s->next_stream;
    size_t head = s->output_len;
    put_head(s, 0, FRAME_HEADERS, FLAG_END_HEADERS, stream);
    put_fields(s);
    s->output[head + 2] = (uint8_t)(s->output_len - head - FRAME_HEAD_BYTES); /* below 256 */
    size_t message_at = s->output_len + FRAME_HEAD_BYTES;
    s->started_ns[stream / 2 % LOAD_STREAM_SLOTS] = started_ns;
    s->next_stream += 2;
    s->in_flight++;
    s->body.stream = stream;
    s->body.window = s->stream_window;
    s->body.at = 0;
    put_body(s);
    if (s->request->key_count > 0 && s->body.at >= s->request->key_at + s->request->key_len)
        load_request_choose(s->request, load_random(&s->random), s->output + message_at);
    return true;
}

kms_err load_session_flush(struct load_session *s, struct kms_why *why)
{
    for (put_body(s); s->output_len > 0; put_body(s)) {
        size_t len = s->output_len;
        s->output_len = 0;
        if (load_transport_write(&s->transport, kms_bytes_of(s->output, len))) continue;
        kms_why_set(why, "the server takes no more bytes");
        return KMS_FAIL(IO);
    }
    return KMS_OK;
}

/* --- in --- */

static uint32_t number_of(const uint8_t *bytes, unsigned count)
{
    uint32_t value = 0;
    for (unsigned i = 0; i < count; i++) value = value << 8 | bytes[i];
    return value;
}

/* Of a request that is answered before its end nothing more is sent. */
static void give_up_body(struct load_session *s)
{
    enum { CANCEL = 8 };
    put_head(s, 4, FRAME_RST_STREAM, 0, s->body.stream);
    put_number(s, CANCEL, 4);
    s->body.stream = 0;
}

static void end_call(struct load_session *s, uint32_t stream, int status)
{
    if (stream == s->body.stream) give_up_body(s);
    s->in_flight--;
    s->reply(s, s->started_ns[stream / 2 % LOAD_STREAM_SLOTS], status);
}

static bool on_headers(struct load_session *s, const struct frame *frame)
{
    int status = LOAD_STATUS_UNREADABLE;
    if (frame->flags & (FLAG_PADDED | FLAG_PRIORITY) || !(frame->flags & FLAG_END_HEADERS)) return false;
    if (!load_hpack_read(&s->table, frame->payload, frame->len, &status)) return false;
    if (frame->flags & FLAG_END_STREAM) end_call(s, frame->stream, status);
    return true;
}

static void on_data(struct load_session *s, const struct frame *frame)
{
    s->acknowledge_bytes += frame->len;
    if (s->acknowledge_bytes < ACKNOWLEDGE_EVERY_BYTES) return;
    put_head(s, 4, FRAME_WINDOW_UPDATE, 0, 0);
    put_number(s, s->acknowledge_bytes, 4);
    s->acknowledge_bytes = 0;
}

static void on_settings(struct load_session *s, const struct frame *frame)
{
    if (frame->flags & FLAG_ACK) return;
    for (uint32_t at = 0; at + SETTING_BYTES <= frame->len; at += SETTING_BYTES)
        if (number_of(frame->payload + at, 2) == SETTINGS_INITIAL_WINDOW_SIZE)
            s->stream_window = number_of(frame->payload + at + 2, 4);
    put_head(s, 0, FRAME_SETTINGS, FLAG_ACK, 0);
}

static void on_window(struct load_session *s, const struct frame *frame)
{
    if (frame->len != 4) return;
    if (frame->stream == 0) s->send_window += number_of(frame->payload, 4);
    if (frame->stream == s->body.stream) s->body.window += number_of(frame->payload, 4);
}

static void on_ping(struct load_session *s, const struct frame *frame)
{
    if (frame->flags & FLAG_ACK || frame->len != 8) return;
    put_head(s, 8, FRAME_PING, FLAG_ACK, 0);
    put(s, frame->payload, 8);
}

static kms_err on_frame(struct load_session *s, const struct frame *frame, struct kms_why *why)
{
    switch (frame->type) {
    case FRAME_DATA:
        on_data(s, frame);
        return KMS_OK;
    case FRAME_HEADERS:
        if (on_headers(s, frame)) return KMS_OK;
        break;
    case FRAME_RST_STREAM:
        end_call(s, frame->stream, LOAD_STATUS_UNREADABLE);
        return KMS_OK;
    case FRAME_SETTINGS:
        on_settings(s, frame);
        return KMS_OK;
    case FRAME_PING:
        on_ping(s, frame);
        return KMS_OK;
    case FRAME_WINDOW_UPDATE:
        on_window(s, frame);
        return KMS_OK;
    case FRAME_CONTINUATION: /* a server of ours sends short header blocks */
        break;
    case FRAME_GOAWAY:
        kms_why_set(why, "the server says goodbye");
        return KMS_FAIL(IO);
    default:
        return KMS_OK;
    }
    kms_why_set(why, "a frame of type %u that this program cannot read", frame->type);
    return KMS_FAIL(CORRUPT);
}

static kms_err read_frames(struct load_session *s, struct kms_why *why)
{
    size_t at = 0;
    while (s->input_len - at >= FRAME_HEAD_BYTES) {
        const uint8_t *head = s->input + at;
        struct frame frame = {.type = head[3],
                              .flags = head[4],
                              .stream = number_of(head + 5, 4) & 0x7fffffff,
                              .payload = head + FRAME_HEAD_BYTES,
                              .len = number_of(head, 3)};
        if (s->input_len - at - FRAME_HEAD_BYTES < frame.len) break;
        KMS_TRY(on_frame(s, &frame, why));
        at += FRAME_HEAD_BYTES + frame.len;
        if (s->output_len + REQUEST_ROOM_BYTES > LOAD_OUTPUT_BYTES) KMS_TRY(load_session_flush(s, why));
    }
    s->input_len -= at;
    memmove(s->input, s->input + at, s->input_len);
    return KMS_OK;
}

kms_err load_session_read(struct load_session *s, struct kms_why *why)
{
    do {
        ssize_t got =
            load_transport_read(&s->transport, s->input + s->input_len, LOAD_INPUT_BYTES - s->input_len);
        if (got < 0) {
            kms_why_set(why, "the server closed the connection");
            return KMS_FAIL(IO);
        }
        s->input_len += (size_t)got;
        KMS_TRY(read_frames(s, why));
    } while (load_transport_pending(&s->transport) && s->input_len < LOAD_INPUT_BYTES / 2);
    return load_session_flush(s, why);
}

/* --- begin and end --- */

kms_err load_session_new(const char *address, SSL_CTX *tls, const struct load_request *request,
                         struct load_session **ret_session, struct kms_why *why)
{
    struct load_session *s = calloc(1, sizeof *s);
    if (s == NULL) return KMS_FAIL(NO_MEMORY);
    s->request = request;
    s->next_stream = 1;
    s->send_window = s->stream_window = DEFAULT_WINDOW_BYTES;
    kms_err err = load_transport_open(address, tls, &s->transport, why);
    if (kms_failed(err)) {
        free(s);
        return err;
    }
    put_preface(s);
    err = load_session_flush(s, why);
    if (kms_failed(err)) {
        load_session_free(s);
        return err;
    }
    *ret_session = s;
    return KMS_OK;
}

void load_session_free(struct load_session *s)
{
    if (s == NULL) return;
    load_transport_close(&s->transport);
    free(s);
}
