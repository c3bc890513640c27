/* The life of a guest: waiting -> accepted -> answered, or a stream that is looked after until it ends. */
#include <grpc/byte_buffer.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/log.h"
#include "kmsd/rpc/guest.h"
#include "kmsd/rpc/message.h"
#include "kmsd/rpc/status.h"

/* In the order of enum kms_guest_row. */
#define REFLECTION                                                                                           \
    .stream = true, .many = true, .limit = KMS_GUEST_REFLECTIONS, .begin = kms_guest_read,                   \
    .read = kms_reflect_answer, .look = kms_guest_read
static const struct kms_guest_method methods[KMS_GUEST_ROWS] = {
    {.path = "/grpc.health.v1.Health/Check", .begin = kms_health_check},
    {.path = "/grpc.health.v1.Health/List", .begin = kms_health_list},
    {.path = "/grpc.health.v1.Health/Watch",
     .stream = true,
     .limit = KMS_GUEST_WATCHES,
     .begin = kms_health_watch,
     .look = kms_health_look},
    {.path = "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo", REFLECTION},
    {.path = "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo", REFLECTION},
};

/* What bounds how many there are at once. */
static uint32_t most(const struct kms_guest *guest)
{
    const struct kms_rpc_options *options = &guest->queue->rpc->options;
    const uint32_t limits[] = {options->calls, options->health_watches, options->reflection_streams};
    return limits[guest->method->limit];
}

static const char *most_name(const struct kms_guest *guest)
{
    static const char *const names[] = {"limits.calls", "limits.health_watches", "limits.reflection_streams"};
    return names[guest->method->limit];
}

static size_t row_of(const struct kms_guest *guest)
{
    return (size_t)(guest->method - methods);
}

const char *kms_guest_path(size_t row)
{
    return methods[row].path;
}

kms_err kms_guests_register(struct kms_rpc *rpc, struct kms_why *why)
{
    for (size_t row = 0; row < KMS_GUEST_ROWS; row++) {
        if (methods[row].limit == KMS_GUEST_REFLECTIONS && !rpc->options.reflection) continue;
        rpc->guest_methods[row] = grpc_server_register_method(
            rpc->server, methods[row].path, NULL,
            methods[row].many ? GRPC_SRM_PAYLOAD_NONE : GRPC_SRM_PAYLOAD_READ_INITIAL_BYTE_BUFFER, 0);
        if (rpc->guest_methods[row] != NULL) continue;
        kms_why_set(why, "method %s is there twice", methods[row].path);
        return KMS_FAIL(INTERNAL);
    }
    return KMS_OK;
}

/* --- waiting --- */

static void on_accepted(struct kms_tag *tag, bool ok);

static void give_up(struct kms_guest *guest)
{
    grpc_metadata_array_destroy(&guest->metadata);
    free(guest);
}

static bool wait_for_one(struct kms_queue *queue, size_t row)
{
    struct kms_guest *guest = calloc(1, sizeof *guest);
    if (guest == NULL) return false; /* tried again whenever a guest of this row leaves */
    guest->tag.fire = on_accepted;
    guest->queue = queue;
    guest->method = &methods[row];
    guest->told = -1;
    grpc_metadata_array_init(&guest->metadata);
    grpc_call_error err = grpc_server_request_registered_call(
        queue->rpc->server, queue->rpc->guest_methods[row], &guest->grpc_call, &guest->deadline,
        &guest->metadata, guest->method->many ? NULL : &guest->request, queue->cq, queue->cq, &guest->tag);
    if (err == GRPC_CALL_OK) return true;
    kms_log(KMS_LOG_ERROR, "rpc.request", "err=\"%s\"", grpc_call_error_to_string(err));
    give_up(guest);
    return false;
}

static void fill(struct kms_queue *queue, size_t row)
{
    if (queue->rpc->guest_methods[row] == NULL) return;
    while (queue->guests_waiting[row] < KMS_GUEST_SLOTS && wait_for_one(queue, row))
        queue->guests_waiting[row]++;
}

void kms_guests_fill(struct kms_queue *queue)
{
    for (size_t row = 0; row < KMS_GUEST_ROWS; row++) fill(queue, row);
}

/* --- one operation after another --- */

#define GUEST_OF(tag, member) ((struct kms_guest *)(void *)((char *)(tag)-offsetof(struct kms_guest, member)))

static void forget(struct kms_guest *guest)
{
    pthread_mutex_lock(&guest->queue->lock);
    if (guest->link != NULL) {
        *guest->link = guest->next;
        if (guest->next != NULL) guest->next->link = guest->link;
        guest->link = NULL;
    }
    pthread_mutex_unlock(&guest->queue->lock);
}

static void drop_message(struct kms_guest *guest)
{
    if (guest->message != NULL) grpc_byte_buffer_destroy(guest->message);
    guest->message = NULL;
}

static void leave(struct kms_guest *guest)
{
    struct kms_queue *queue = guest->queue;
    struct kms_rpc *rpc = queue->rpc;
    size_t row = row_of(guest);
    forget(guest);
    drop_message(guest);
    if (guest->request != NULL) grpc_byte_buffer_destroy(guest->request);
    grpc_slice_unref(guest->text);
    grpc_slice_unref(guest->details);
    grpc_call_unref(guest->grpc_call);
    give_up(guest);
    fill(queue, row);
    atomic_fetch_sub(&rpc->guests[row], 1);
    pthread_mutex_lock(&rpc->lock);
    if (rpc->stopping) pthread_cond_broadcast(&rpc->changed);
    pthread_mutex_unlock(&rpc->lock);
}

static void one_less(struct kms_guest *guest)
{
    if (--guest->open == 0) leave(guest);
}

static bool started(struct kms_guest *guest, const grpc_op *ops, size_t count, struct kms_tag *tag)
{
    grpc_call_error err = grpc_call_start_batch(guest->grpc_call, ops, count, tag, NULL);
    if (err == GRPC_CALL_OK)
        guest->open++;
    else
        kms_log(KMS_LOG_ERROR, "rpc.guest", "err=\"%s\"", grpc_call_error_to_string(err));
    return err == GRPC_CALL_OK;
}

/* For one that was refused one leaves, whichever of the old ones is asked first. */
static bool gives_way(const struct kms_guest *guest)
{
    struct kms_rpc *rpc = guest->queue->rpc;
    atomic_bool *yield = &rpc->guests_yield[row_of(guest)];
    return atomic_load(yield) &&
           kms_monotonic_us() - guest->since_us >= rpc->options.stream_age_ms * UINT64_C(1000) &&
           atomic_exchange(yield, false);
}

static void look(struct kms_guest *guest)
{
    if (guest->ended || guest->method->look == NULL) return;
    bool stopping = atomic_load(&guest->queue->rpc->guests_leave), over = stopping || gives_way(guest);
    if (over && guest->busy) /* its client does not take what was sent: no status would get through either */
        grpc_call_cancel_with_status(guest->grpc_call, GRPC_STATUS_UNAVAILABLE, "not read", NULL);
    else if (over)
        kms_guest_end(guest, NULL, stopping ? KMS_FAIL(SHUTTING_DOWN) : KMS_FAIL(STREAM_CROWDED_OUT), NULL);
    else if (!guest->busy)
        guest->method->look(guest);
}

static void on_closed(struct kms_tag *tag, bool ok)
{
    struct kms_guest *guest = GUEST_OF(tag, close_tag);
    (void)ok;
    if (!guest->ended) kms_guest_end(guest, NULL, KMS_FAIL(CANCELLED), NULL);
    one_less(guest);
}

static void on_ended(struct kms_tag *tag, bool ok)
{
    (void)ok;
    one_less(GUEST_OF(tag, end_tag));
}

static void on_written(struct kms_tag *tag, bool ok)
{
    struct kms_guest *guest = (struct kms_guest *)tag;
    (void)ok; /* if not, it closes */
    guest->busy = false;
    drop_message(guest);
    look(guest);
    one_less(guest);
}

static void on_read(struct kms_tag *tag, bool ok)
{
    struct kms_guest *guest = GUEST_OF(tag, read_tag);
    (void)ok; /* if not, there is no request */
    guest->reading = false;
    if (!guest->ended && guest->request != NULL)
        guest->method->read(guest);
    else if (!guest->ended)
        kms_guest_end(guest, NULL, KMS_OK, NULL);
    if (guest->request != NULL) grpc_byte_buffer_destroy(guest->request);
    guest->request = NULL;
    one_less(guest);
}

void kms_guest_read(struct kms_guest *guest)
{
    if (guest->reading || guest->busy || guest->ended) return;
    grpc_op op = {.op = GRPC_OP_RECV_MESSAGE};
    op.data.recv_message.recv_message = &guest->request;
    guest->read_tag.fire = on_read;
    guest->reading = started(guest, &op, 1, &guest->read_tag);
}

/* --- answers --- */

static grpc_op message_op(struct kms_guest *guest, const ProtobufCMessage *message)
{
    grpc_slice slice = grpc_slice_malloc(protobuf_c_message_get_packed_size(message));
    protobuf_c_message_pack(message, GRPC_SLICE_START_PTR(slice));
    guest->message = grpc_raw_byte_buffer_create(&slice, 1);
    grpc_slice_unref(slice);
    grpc_op op = {.op = GRPC_OP_SEND_MESSAGE};
    op.data.send_message.send_message = guest->message;
    return op;
}

static grpc_op status_op(struct kms_guest *guest, kms_err err, const struct kms_why *why)
{
    grpc_op op = {.op = GRPC_OP_SEND_STATUS_FROM_SERVER};
    struct kms_status status;
    if (!kms_failed(err)) return op;
    const struct kms_status_info info = {.passes = guest->refused};
    kms_status_make(err, why, &info, &status);
    guest->text = grpc_slice_from_copied_string(status.message);
    guest->details = grpc_slice_from_copied_buffer((const char *)status.details, status.details_len);
    guest->trailers[0] =
        (grpc_metadata){.key = grpc_slice_from_static_string(KMS_STATUS_TRAILER), .value = guest->details};
    guest->trailers[1] = (grpc_metadata){.key = grpc_slice_from_static_string(KMS_MESSAGE_ACCEPTS),
                                         .value = grpc_slice_from_static_string(KMS_MESSAGE_ENCODINGS)};
    op.data.send_status_from_server.status = (grpc_status_code)status.code;
    op.data.send_status_from_server.status_details = &guest->text;
    op.data.send_status_from_server.trailing_metadata = guest->trailers;
    op.data.send_status_from_server.trailing_metadata_count = kms_is(err, KMS_E_UNSUPPORTED) ? 2 : 1;
    return op;
}

void kms_guest_send(struct kms_guest *guest, const ProtobufCMessage *message)
{
    grpc_op ops[2];
    size_t count = 0;
    if (!guest->begun) ops[count++] = (grpc_op){.op = GRPC_OP_SEND_INITIAL_METADATA};
    guest->begun = true;
    ops[count++] = message_op(guest, message);
    guest->tag.fire = on_written;
    guest->busy = started(guest, ops, count, &guest->tag);
    if (!guest->busy) drop_message(guest);
}

void kms_guest_end(struct kms_guest *guest, const ProtobufCMessage *message, kms_err err,
                   const struct kms_why *why)
{
    grpc_op ops[3];
    size_t count = 0;
    if (guest->ended) return;
    guest->ended = true;
    if (!guest->begun) ops[count++] = (grpc_op){.op = GRPC_OP_SEND_INITIAL_METADATA};
    guest->begun = true;
    if (message != NULL) ops[count++] = message_op(guest, message);
    ops[count++] = status_op(guest, err, why);
    guest->end_tag.fire = on_ended;
    started(guest, ops, count, &guest->end_tag);
}

/* --- accepted --- */

static void keep(struct kms_guest *guest)
{
    struct kms_queue *queue = guest->queue;
    pthread_mutex_lock(&queue->lock);
    guest->next = queue->guest_streams;
    guest->link = &queue->guest_streams;
    if (guest->next != NULL) guest->next->link = &guest->next;
    queue->guest_streams = guest;
    pthread_mutex_unlock(&queue->lock);
}

static void begin(struct kms_guest *guest, bool too_many)
{
    guest->close_tag.fire = on_closed;
    grpc_op op = {.op = GRPC_OP_RECV_CLOSE_ON_SERVER};
    op.data.recv_close_on_server.cancelled = &guest->cancelled;
    guest->open = 1; /* this function */
    started(guest, &op, 1, &guest->close_tag);
    guest->since_us = kms_monotonic_us();
    if (too_many) {
        struct kms_why why;
        guest->refused = true;
        atomic_store(&guest->queue->rpc->guests_wanted[row_of(guest)], true);
        kms_why_set(&why, "%u calls of %s are open already (%s)", most(guest), guest->method->path + 1,
                    most_name(guest));
        kms_guest_end(guest, NULL, KMS_FAIL(LIMIT_EXCEEDED), &why);
    } else {
        if (guest->method->stream) keep(guest);
        guest->method->begin(guest);
        look(guest);
    }
    one_less(guest);
}

static void on_accepted(struct kms_tag *tag, bool ok)
{
    struct kms_guest *guest = (struct kms_guest *)tag;
    struct kms_queue *queue = guest->queue;
    size_t row = row_of(guest);
    queue->guests_waiting[row]--;
    if (!ok) { /* the server is shutting down */
        give_up(guest);
        return;
    }
    guest->text = guest->details = grpc_empty_slice();
    unsigned active = atomic_fetch_add(&queue->rpc->guests[row], 1) + 1;
    if (active <= most(guest) + KMS_RPC_REFUSALS) fill(queue, row);
    begin(guest, active > most(guest));
}

/* --- from other threads --- */

static void fire_guests(struct kms_tag *tag, bool ok)
{
    struct kms_queue *queue =
        (struct kms_queue *)(void *)((char *)tag - offsetof(struct kms_queue, guests_tag));
    (void)ok;
    pthread_mutex_lock(&queue->lock);
    queue->guests_woken = false;
    struct kms_guest *guest = queue->guest_streams;
    pthread_mutex_unlock(&queue->lock);
    while (guest != NULL) { /* none leaves meanwhile: that takes an event of this thread */
        struct kms_guest *next = guest->next;
        look(guest);
        guest = next;
    }
}

/* An empty batch, as in queue.c; the call lives as long as it is in the list, and the lock keeps it there. */
static void wake(struct kms_queue *queue)
{
    pthread_mutex_lock(&queue->lock);
    if (!queue->guests_woken && queue->guest_streams != NULL) {
        queue->guests_tag.fire = fire_guests;
        queue->guests_woken = grpc_call_start_batch(queue->guest_streams->grpc_call, NULL, 0,
                                                    &queue->guests_tag, NULL) == GRPC_CALL_OK;
    }
    pthread_mutex_unlock(&queue->lock);
}

void kms_guests_wake(struct kms_rpc *rpc)
{
    for (unsigned i = 0; i < rpc->queue_count; i++) wake(&rpc->queues[i]);
}

void kms_guests_make_room(struct kms_rpc *rpc)
{
    bool any = false;
    for (size_t row = 0; row < KMS_GUEST_ROWS; row++) {
        bool wanted = atomic_exchange(&rpc->guests_wanted[row], false);
        atomic_store(&rpc->guests_yield[row], wanted);
        any = any || wanted;
    }
    if (any) kms_guests_wake(rpc);
}

void kms_guests_leave(struct kms_rpc *rpc)
{
    atomic_store(&rpc->guests_leave, true);
    kms_guests_wake(rpc);
}

unsigned kms_guests_active(const struct kms_rpc *rpc)
{
    unsigned active = 0;
    for (size_t row = 0; row < KMS_GUEST_ROWS; row++) active += atomic_load(&rpc->guests[row]);
    return active;
}
