/*
 * kms-load: drives gRPC servers in turn, a slice of time each, forward and back, and prints what each did as
 * JSON. In turn, because on a machine that others use too a run after another compares nothing.
 */
#include <getopt.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>

#include "tests/bench/load/target.h"

enum { TARGETS = 32, ROUNDS_MOST = 100000, SLICE_MS_MOST = 10000, CALLS_MS = 600000 };

struct options {
    const char *ca, *certificate, *key;
    struct load_plan plan;
    unsigned rounds;
    bool hold; /* connect to the one target, and no more */
};

static const struct option long_options[] = {
    {"ca", required_argument, NULL, 'a'},
    {"cert", required_argument, NULL, 'c'},
    {"key", required_argument, NULL, 'k'},
    {"connections", required_argument, NULL, 'n'},
    {"in-flight", required_argument, NULL, 'f'},
    {"slice-ms", required_argument, NULL, 's'},
    {"rounds", required_argument, NULL, 'r'},
    {"rate", required_argument, NULL, 'o'},
    {"calls", required_argument, NULL, 'q'},
    {"tick-us", required_argument, NULL, 't'},
    {"hold", no_argument, NULL, 'h'},
    {NULL, 0, NULL, 0},
};

static int usage(const char *program)
{
    fprintf(stderr,
            "usage: %s [--ca PEM --cert PEM --key PEM] [--connections N] [--in-flight N] [--slice-ms N]\n"
            "       [--rounds N] [--rate CALLS_PER_SECOND [--tick-us N] | --calls N | --hold] TARGET...\n"
            "TARGET: name=N,operation=O,address=tls:IP:PORT|unix:PATH,pids=1+2[,key=ID|,keys=FILE]\n"
            "       [,ciphertext=BASE64]\n",
            program);
    return 2;
}

/* False: not a number from 1 to most. */
static bool read_number(const char *text, unsigned long most, unsigned *ret_value)
{
    char *end;
    unsigned long value = strtoul(text, &end, 10);
    if (*end != '\0' || value < 1 || value > most) return false;
    *ret_value = (unsigned)value;
    return true;
}

static bool read_options(int argc, char **argv, struct options *options)
{
    unsigned slice_ms = 30, rate = 0, tick_us = 0, calls = 0;
    bool ok = true;
    for (int c; ok && (c = getopt_long(argc, argv, "", long_options, NULL)) != -1;) {
        switch (c) {
        case 'a':
            options->ca = optarg;
            break;
        case 'c':
            options->certificate = optarg;
            break;
        case 'k':
            options->key = optarg;
            break;
        case 'n':
            ok = read_number(optarg, LOAD_CONNECTIONS, &options->plan.connections);
            break;
        case 'f':
            ok = read_number(optarg, LOAD_STREAMS, &options->plan.in_flight);
            break;
        case 's':
            ok = read_number(optarg, SLICE_MS_MOST, &slice_ms);
            break;
        case 'r':
            ok = read_number(optarg, ROUNDS_MOST, &options->rounds);
            break;
        case 'o':
            ok = read_number(optarg, 10000000, &rate);
            break;
        case 'h':
            options->hold = true;
            break;
        case 't':
            ok = read_number(optarg, 1000000, &tick_us);
            break;
        case 'q':
            ok = read_number(optarg, 10000000, &calls);
            break;
        default:
            ok = false;
        }
    }
    options->plan.calls = calls;
    options->plan.slice_ns = (calls > 0 ? CALLS_MS : slice_ms) * UINT64_C(1000000);
    options->plan.rate = rate;
    options->plan.tick_ns = tick_us * UINT64_C(1000);
    if (options->hold && argc - optind != 1) return false;
    return ok && optind < argc && argc - optind <= TARGETS;
}

static double per_call_us(uint64_t ns, const struct load_tally *tally)
{
    uint64_t calls = tally->latency.count + tally->errors;
    return calls == 0 ? 0 : (double)ns / 1000 / (double)calls;
}

/* {"8": 120, "14": 3}: how the calls that failed ended, by grpc-status. */
static json_t *failures(const struct load_tally *tally)
{
    json_t *object = json_object();
    char name[8];
    for (unsigned status = 0; status < LOAD_STATUSES; status++) {
        if (tally->by_status[status] == 0) continue;
        snprintf(name, sizeof name, "%u", status);
        json_object_set_new(object, name, json_integer((json_int_t)tally->by_status[status]));
    }
    return object;
}

static double share_of(uint64_t part_ns, uint64_t whole_ns)
{
    return whole_ns == 0 ? 0 : (double)part_ns / (double)whole_ns;
}

static json_t *describe(const struct load_target *target)
{
    const struct load_tally *tally = &target->tally;
    const struct load_histogram *served = &tally->latency, *shed = &tally->shed_latency;
    double seconds = (double)tally->active_ns / 1e9;
    return json_pack(
        "{s:s, s:I, s:I, s:I, s:o, s:f, s:f, s:i, s:I, s:f, s:f, s:f, s:f, s:f, s:f, s:f, s:f}", "name",
        target->name, "calls", (json_int_t)served->count, "errors", (json_int_t)tally->errors, "shed",
        (json_int_t)tally->shed, "failed_by_status", failures(tally), "shed_p50_us",
        load_histogram_quantile_us(shed, .5), "shed_p99_us", load_histogram_quantile_us(shed, .99),
        "first_error", tally->first_error, "held_back", (json_int_t)tally->held_back, "calls_per_s",
        seconds > 0 ? (double)served->count / seconds : 0.0, "p50_us", load_histogram_quantile_us(served, .5),
        "p99_us", load_histogram_quantile_us(served, .99), "p999_us",
        load_histogram_quantile_us(served, .999), "max_us", load_histogram_quantile_us(served, 1 - 1e-9),
        "server_cpu_us", per_call_us(tally->server_cpu_ns, tally), "generator_cpu_us",
        per_call_us(tally->generator_cpu_ns, tally), "generator_share",
        share_of(tally->generator_cpu_ns, tally->active_ns));
}

static kms_err print(const struct load_target *targets, unsigned count)
{
    json_t *list = json_array();
    for (unsigned i = 0; i < count; i++)
        if (json_array_append_new(list, describe(&targets[i])) != 0) break;
    bool ok = json_array_size(list) == count && json_dumpf(list, stdout, JSON_INDENT(2)) == 0;
    json_decref(list);
    return ok ? KMS_OK : KMS_FAIL(NO_MEMORY);
}

/* One round to warm up, which is not counted, then those that are. Every second one goes backwards, so that
 * none always follows the same. Of so many calls there is one round, and all are counted. */
static kms_err run(struct load_target *targets, unsigned count, unsigned rounds, struct kms_why *why)
{
    for (unsigned i = 0; targets->plan->calls > 0 && i < count; i++)
        KMS_TRY(load_target_slice(&targets[i], why));
    if (targets->plan->calls > 0) return KMS_OK;
    for (unsigned round = 0; round <= rounds; round++) {
        for (unsigned i = 0; i < count; i++)
            KMS_TRY(load_target_slice(&targets[round % 2 == 0 ? i : count - 1 - i], why));
        for (unsigned i = 0; round == 0 && i < count; i++) targets[i].tally = (struct load_tally){0};
    }
    return KMS_OK;
}

static kms_err measure(const struct options *options, char **texts, unsigned count, struct kms_why *why)
{
    SSL_CTX *tls = NULL;
    if (options->ca != NULL)
        KMS_TRY(load_tls_new(options->ca, options->certificate, options->key, &tls, why));
    struct load_target *targets = calloc(count, sizeof *targets);
    kms_err err = targets == NULL ? KMS_FAIL(NO_MEMORY) : KMS_OK;
    unsigned opened = 0;
    while (!kms_failed(err) && opened < count) {
        err = load_target_open(texts[opened], &options->plan, tls, &targets[opened], why);
        opened++;
    }
    if (!kms_failed(err) && options->hold) err = load_target_hold(&targets[0], why);
    if (!kms_failed(err) && !options->hold) err = run(targets, count, options->rounds, why);
    if (!kms_failed(err) && !options->hold) err = print(targets, count);
    while (opened > 0) load_target_close(&targets[--opened]);
    free(targets);
    SSL_CTX_free(tls);
    return err;
}

int main(int argc, char **argv)
{
    struct options options = {.plan = {.connections = 1, .in_flight = 1}, .rounds = 10};
    struct kms_why why = {""};
    if (!read_options(argc, argv, &options)) return usage(argv[0]);
    struct rlimit files;
    if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
        files.rlim_cur = files.rlim_max;
        setrlimit(RLIMIT_NOFILE, &files); /* many connections; what is missing is said when one fails */
    }
    prctl(PR_SET_TIMERSLACK, 1); /* ns: an open loop is punctual */
    kms_err err = measure(&options, argv + optind, (unsigned)(argc - optind), &why);
    if (!kms_failed(err)) return 0;
    fprintf(stderr, "kms-load: %s: %s\n", kms_err_text(err), why.text);
    return 1;
}
