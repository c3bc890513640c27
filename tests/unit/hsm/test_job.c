/* Frames: what goes in comes out, and nothing malformed is taken. */
#include "hsm/job.h"
#include "tests/harness/suite.h"

/* A key and an algorithm that the operation takes. */
static void suit(struct kms_hsm_job *job)
{
    static const struct {
        uint8_t op, spec, usage, algorithm;
    } rows[] = {
        {KMS_HSM_SIGN, KMS_SPEC_EC_P384, KMS_USAGE_SIGN_VERIFY, KMS_ALGORITHM_ECDSA_SHA_384},
        {KMS_HSM_VERIFY, KMS_SPEC_RSA_4096, KMS_USAGE_SIGN_VERIFY, KMS_ALGORITHM_RSASSA_PSS_SHA_512},
        {KMS_HSM_MAC, KMS_SPEC_HMAC_256, KMS_USAGE_GENERATE_VERIFY_MAC, KMS_ALGORITHM_HMAC_SHA_256},
        {KMS_HSM_VERIFY_MAC, KMS_SPEC_HMAC_512, KMS_USAGE_GENERATE_VERIFY_MAC, KMS_ALGORITHM_HMAC_SHA_512},
        {KMS_HSM_PUBLIC_KEY, KMS_SPEC_ED25519, KMS_USAGE_SIGN_VERIFY, 0},
        {KMS_HSM_RSA_ENCRYPT, KMS_SPEC_RSA_2048, KMS_USAGE_ENCRYPT_DECRYPT, KMS_ALGORITHM_RSAES_OAEP_SHA_256},
        {KMS_HSM_CERTIFY, KMS_SPEC_RSA_4096, KMS_USAGE_ENCRYPT_DECRYPT, 0},
        {KMS_HSM_IMPORT, KMS_SPEC_RSA_4096, KMS_USAGE_ENCRYPT_DECRYPT, 0},
        {KMS_HSM_RSA_DECRYPT, KMS_SPEC_RSA_3072, KMS_USAGE_ENCRYPT_DECRYPT, KMS_ALGORITHM_RSAES_OAEP_SHA_256},
    };
    for (size_t i = 0; i < KMS_COUNT(rows); i++) {
        if (rows[i].op != job->op) continue;
        job->key.ref.spec = rows[i].spec;
        job->key.ref.usage = rows[i].usage;
        job->algorithm = rows[i].algorithm;
    }
}

static const uint8_t wrapped[77] = {7}, other[50] = {8}, aad[20] = {1}, input[100] = {2};

static struct kms_hsm_job sample(enum kms_hsm_op op)
{
    struct kms_hsm_job job = {.op = op, .count = 32, .aad = {aad, sizeof aad}, .to_aad = {aad, 3}};
    job.key.ref =
        (struct kms_key_ref){{{1, 2, 3}}, 4, KMS_SPEC_AES_256, KMS_USAGE_ENCRYPT_DECRYPT, KMS_LEVEL_HSM};
    job.to.ref = job.key.ref;
    job.to.ref.level = KMS_LEVEL_SOFTWARE;
    job.key.wrapped = kms_bytes_of(wrapped, sizeof wrapped);
    job.to.wrapped = kms_bytes_of(other, sizeof other);
    job.input = kms_bytes_of(input, op == KMS_HSM_FORGET ? KMS_ID_BYTES : sizeof input);
    job.proof = kms_bytes_of(input, 48);
    job.pair = KMS_SPEC_EC_P521;
    if (op == KMS_HSM_IMPORT) job.key.ref.level = KMS_LEVEL_SOFTWARE; /* all that it takes */
    suit(&job);
    return job;
}

static size_t encode(const struct kms_hsm_job *job, uint8_t *frame, size_t cap)
{
    struct kms_writer w = kms_writer_over(frame, cap);
    kms_job_put(&w, job, 9, 1234);
    return w.overflow ? 0 : (size_t)(w.at - frame);
}

static void every_operation_round_trips(void)
{
    for (unsigned op = KMS_HSM_ENCRYPT; op < KMS_HSM_OP_COUNT; op++) {
        uint8_t frame[1024];
        struct kms_hsm_job job = sample((enum kms_hsm_op)op), got;
        size_t len = encode(&job, frame, sizeof frame);
        CU_ASSERT_EQUAL(len, kms_job_frame_bytes(&job));
        struct kms_reader r = kms_reader_over(kms_bytes_of(frame, len));
        KMS_ASSERT_OK_FATAL(kms_job_get(&r, &got));
        CU_ASSERT_TRUE(kms_reader_done(&r));
        CU_ASSERT_EQUAL(got.op, job.op);
        CU_ASSERT_EQUAL(got.pool.id, 9);
        CU_ASSERT_EQUAL(got.deadline_us, 1234);
        CU_ASSERT_TRUE(got.input.len == 0 || kms_bytes_equal(got.input, job.input));
        CU_ASSERT_TRUE(got.aad.len == 0 || kms_bytes_equal(got.aad, job.aad));
        CU_ASSERT_TRUE(got.key.wrapped.len == 0 || kms_bytes_equal(got.key.wrapped, job.key.wrapped));
        CU_ASSERT_TRUE(got.proof.len == 0 || kms_bytes_equal(got.proof, job.proof));
        CU_ASSERT_TRUE(got.algorithm == 0 || got.algorithm == job.algorithm);
        CU_ASSERT_TRUE(got.pair == 0 || got.pair == job.pair);
        CU_ASSERT_TRUE(op != KMS_HSM_REENCRYPT || got.to.ref.level == KMS_LEVEL_SOFTWARE);
    }
}

static void several_jobs_share_a_datagram(void)
{
    uint8_t frame[2048];
    struct kms_writer w = kms_writer_over(frame, sizeof frame);
    struct kms_hsm_job a = sample(KMS_HSM_ENCRYPT), b = sample(KMS_HSM_RANDOM), got;
    kms_job_put(&w, &a, 1, 0);
    kms_job_put(&w, &b, 2, 0);
    struct kms_reader r = kms_reader_over(kms_bytes_of(frame, (size_t)(w.at - frame)));
    KMS_ASSERT_OK(kms_job_get(&r, &got));
    CU_ASSERT_EQUAL(got.pool.id, 1);
    KMS_ASSERT_OK(kms_job_get(&r, &got));
    CU_ASSERT_EQUAL(got.pool.id, 2);
    CU_ASSERT_TRUE(kms_reader_done(&r));
}

static void every_cut_is_refused(void)
{
    uint8_t frame[1024];
    struct kms_hsm_job job = sample(KMS_HSM_REENCRYPT), got;
    size_t len = encode(&job, frame, sizeof frame);
    for (size_t cut = 0; cut < len; cut++) {
        struct kms_reader r = kms_reader_over(kms_bytes_of(frame, cut));
        KMS_ASSERT_CODE(kms_job_get(&r, &got), INVALID_ARGUMENT);
    }
}

static void bad_fields_are_refused(void)
{
    static const struct {
        size_t at;
        uint8_t value;
        const char *what;
    } bad[] = {{20, 0, "operation 0"},
               {20, KMS_HSM_OP_COUNT, "unknown operation"},
               {20, KMS_HSM_RANDOM, "bytes left over"},
               {11, 0, "id of a hello"},
               {40, 0, "version 0"},
               {41, 9, "unknown spec"},
               {42, 9, "unknown usage"},
               {43, 3, "unknown level"},
               {3, 200, "longer than the datagram"}};
    for (size_t i = 0; i < KMS_COUNT(bad); i++) {
        uint8_t frame[1024];
        struct kms_hsm_job job = sample(KMS_HSM_ENCRYPT), got;
        size_t len = encode(&job, frame, sizeof frame);
        frame[bad[i].at] = bad[i].value;
        if (bad[i].at == 3) frame[2] = 200;
        struct kms_reader r = kms_reader_over(kms_bytes_of(frame, len));
        KMS_ASSERT_CODE(kms_job_get(&r, &got), INVALID_ARGUMENT);
    }
}

static void limits_hold(void)
{
    static uint8_t big[KMS_HSM_INPUT_BYTES + 1];
    struct kms_hsm_job job = sample(KMS_HSM_ENCRYPT);
    CU_ASSERT_TRUE(kms_job_valid(&job));
    job.input = kms_bytes_of(big, sizeof big);
    CU_ASSERT_FALSE(kms_job_valid(&job));
    job = sample(KMS_HSM_ENCRYPT);
    job.aad = kms_bytes_of(big, KMS_HSM_AAD_BYTES + 1);
    CU_ASSERT_FALSE(kms_job_valid(&job));
    job = sample(KMS_HSM_ENCRYPT);
    job.key.wrapped = kms_bytes_of(big, KMS_HSM_WRAPPED_BYTES + 1);
    CU_ASSERT_FALSE(kms_job_valid(&job));
    job = sample(KMS_HSM_RANDOM);
    job.count = KMS_HSM_RANDOM_BYTES + 1;
    CU_ASSERT_FALSE(kms_job_valid(&job));
    job = sample(KMS_HSM_REENCRYPT); /* the longest job fits a frame */
    job.input.len = KMS_HSM_INPUT_BYTES;
    job.aad.len = job.to_aad.len = KMS_HSM_AAD_BYTES;
    job.key.wrapped.len = job.to.wrapped.len = KMS_HSM_WRAPPED_BYTES;
    CU_ASSERT_TRUE(kms_job_frame_bytes(&job) <= KMS_HSM_FRAME_BYTES);
    CU_ASSERT_TRUE(kms_hsm_output_bound(&job) + 1024 <= KMS_HSM_FRAME_BYTES);
}

static void algorithms_belong_to_keys(void)
{
    struct kms_hsm_job job = sample(KMS_HSM_SIGN);
    CU_ASSERT_TRUE(kms_job_valid(&job));
    job.digested = true; /* of 100 bytes, where SHA-384 has 48 */
    CU_ASSERT_FALSE(kms_job_valid(&job));
    job.input.len = 48;
    CU_ASSERT_TRUE(kms_job_valid(&job));
    job.algorithm = KMS_ALGORITHM_ECDSA_SHA_256; /* of another curve */
    CU_ASSERT_FALSE(kms_job_valid(&job));
    job = sample(KMS_HSM_ENCRYPT);
    job.key.ref.spec = KMS_SPEC_RSA_2048; /* sealing is for AES keys */
    CU_ASSERT_FALSE(kms_job_valid(&job));
    job = sample(KMS_HSM_REENCRYPT);
    job.to.ref.spec = KMS_SPEC_RSA_2048;
    CU_ASSERT_FALSE(kms_job_valid(&job));
    job = sample(KMS_HSM_PUBLIC_KEY);
    job.key.ref = (struct kms_key_ref){{{1}}, 1, KMS_SPEC_HMAC_256, KMS_USAGE_GENERATE_VERIFY_MAC, 1};
    CU_ASSERT_FALSE(kms_job_valid(&job));
    job = sample(KMS_HSM_CERTIFY);
    CU_ASSERT_TRUE(kms_job_valid(&job));
    job.key.ref.usage = KMS_USAGE_SIGN_VERIFY; /* such a key signs certificates of others, too */
    CU_ASSERT_FALSE(kms_job_valid(&job));
    job.key.ref = (struct kms_key_ref){{{1}}, 1, KMS_SPEC_AES_256, KMS_USAGE_ENCRYPT_DECRYPT, 1};
    CU_ASSERT_FALSE(kms_job_valid(&job));
    job = sample(KMS_HSM_DATA_KEY_PAIR);
    CU_ASSERT_TRUE(kms_job_valid(&job) && kms_job_slow(&job) && !kms_job_makes_rsa(&job));
    job.pair = KMS_SPEC_RSA_4096;
    CU_ASSERT_TRUE(kms_job_makes_rsa(&job));
    job.pair = KMS_SPEC_AES_256;
    CU_ASSERT_FALSE(kms_job_valid(&job));
    job = sample(KMS_HSM_IMPORT);
    job.to.ref = (struct kms_key_ref){{{1}}, 1, KMS_SPEC_EC_P384, KMS_USAGE_SIGN_VERIFY, KMS_LEVEL_HSM};
    CU_ASSERT_TRUE(kms_job_valid(&job) && kms_job_slow(&job) && !kms_job_makes_rsa(&job));
    job.to.ref.spec = KMS_SPEC_RSA_2048; /* checking it takes long, too */
    CU_ASSERT_TRUE(kms_job_valid(&job) && kms_job_makes_rsa(&job));
    job.key.ref.level = KMS_LEVEL_HSM; /* no wrapping key */
    CU_ASSERT_FALSE(kms_job_valid(&job));
    job = sample(KMS_HSM_VERIFY);
    static uint8_t big[KMS_HSM_PROOF_BYTES + 1];
    job.proof = kms_bytes_of(big, sizeof big);
    CU_ASSERT_FALSE(kms_job_valid(&job));
}

/* What needs the token to open a key of SOFTWARE level at most, and what shows how slow it is. At HSM
 * level nothing spares it. */
static void jobs_say_what_they_need(void)
{
    static const uint64_t spares =
        1ULL << KMS_HSM_ENCRYPT | 1ULL << KMS_HSM_DECRYPT | 1ULL << KMS_HSM_REENCRYPT | 1ULL << KMS_HSM_SIGN |
        1ULL << KMS_HSM_VERIFY | 1ULL << KMS_HSM_MAC | 1ULL << KMS_HSM_VERIFY_MAC |
        1ULL << KMS_HSM_PUBLIC_KEY | 1ULL << KMS_HSM_RSA_ENCRYPT | 1ULL << KMS_HSM_RSA_DECRYPT |
        1ULL << KMS_HSM_DATA_KEY_PAIR | 1ULL << KMS_HSM_DATA_KEY_PAIR_SEALED | 1ULL << KMS_HSM_CERTIFY;
    static const uint64_t random =
        1ULL << KMS_HSM_RANDOM | 1ULL << KMS_HSM_DATA_KEY | 1ULL << KMS_HSM_DATA_KEY_SEALED;
    static const uint64_t in_token = random | 1ULL << KMS_HSM_ENCRYPT | 1ULL << KMS_HSM_DECRYPT |
                                     1ULL << KMS_HSM_REENCRYPT | 1ULL << KMS_HSM_MAC |
                                     1ULL << KMS_HSM_VERIFY_MAC; /* RSA is slow on any token */
    for (unsigned op = KMS_HSM_ENCRYPT; op < KMS_HSM_OP_COUNT; op++) {
        struct kms_hsm_job job = sample((enum kms_hsm_op)op);
        job.key.ref.level = job.to.ref.level = KMS_LEVEL_SOFTWARE;
        CU_ASSERT_EQUAL(kms_job_spares_token(&job), spares >> op & 1);
        CU_ASSERT_EQUAL(kms_job_in_token(&job), random >> op & 1);
        job.key.ref.level = KMS_LEVEL_HSM;
        CU_ASSERT_FALSE(kms_job_spares_token(&job));
        CU_ASSERT_EQUAL(kms_job_in_token(&job), in_token >> op & 1);
    }
    struct kms_hsm_job across = sample(KMS_HSM_REENCRYPT);
    across.key.ref.level = KMS_LEVEL_SOFTWARE;
    across.to.ref.level = KMS_LEVEL_HSM;
    CU_ASSERT_TRUE(!kms_job_spares_token(&across) && kms_job_in_token(&across));
}

static void results_round_trip(void)
{
    uint8_t frame[64] = {0};
    struct kms_writer w = kms_writer_over(frame, sizeof frame);
    struct kms_result got;
    frame[KMS_RESULT_HEADER_BYTES] = 0x5a;
    kms_result_put(&w, 77, KMS_FAIL(CORRUPT), 1);
    struct kms_reader r = kms_reader_over(kms_bytes_of(frame, (size_t)(w.at - frame)));
    KMS_ASSERT_OK_FATAL(kms_result_get(&r, &got));
    CU_ASSERT_TRUE(got.id == 77 && got.output.len == 1 && got.output.ptr[0] == 0x5a);
    KMS_ASSERT_CODE(got.err, CORRUPT);
    frame[8] = KMS_E_COUNT;
    r = kms_reader_over(kms_bytes_of(frame, sizeof frame));
    KMS_ASSERT_CODE(kms_result_get(&r, &got), INVALID_ARGUMENT);
}

static void hellos_round_trip(void)
{
    static uint8_t frame[KMS_HELLO_BYTES];
    static struct kms_hello hello = {.status = {.root_id = 3, .token_label = "kmsd", .capability_count = 2}},
                            got;
    kms_why_set(&hello.why, "line\nbreak");
    strcpy(hello.status.capabilities[1].name, "ec-p-256");
    hello.status.capabilities[1].available = true;
    struct kms_writer w = kms_writer_over(frame, sizeof frame);
    kms_hello_put(&w, &hello);
    size_t len = (size_t)(w.at - frame);
    KMS_ASSERT_OK_FATAL(kms_hello_get(kms_bytes_of(frame, len), &got));
    CU_ASSERT_STRING_EQUAL(got.why.text, "line?break");
    CU_ASSERT_STRING_EQUAL(got.status.capabilities[1].name, "ec-p-256");
    CU_ASSERT_TRUE(got.status.capabilities[1].available && got.status.root_id == 3);
    for (size_t cut = 0; cut < len; cut++)
        KMS_ASSERT_CODE(kms_hello_get(kms_bytes_of(frame, cut), &got), INVALID_ARGUMENT);
}

KMS_TEST_MAIN("hsm/job", {"every operation round-trips", every_operation_round_trips},
              {"several jobs share a datagram", several_jobs_share_a_datagram},
              {"every cut is refused", every_cut_is_refused},
              {"bad fields are refused", bad_fields_are_refused}, {"limits hold", limits_hold},
              {"algorithms belong to keys", algorithms_belong_to_keys},
              {"jobs say what they need", jobs_say_what_they_need},
              {"results round-trip", results_round_trip}, {"hellos round-trip", hellos_round_trip})
