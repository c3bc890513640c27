/*
 * A PKCS#11 module that is SoftHSM, except when the additional authenticated data of an AES-GCM encryption
 * (the encryption context of a call is in it) has a marker in it: "shim:crash" ends the process,
 * "shim:hang" never returns, "shim:error" fails every time, "shim:once" fails the first time, "shim:slow"
 * takes 5 ms as a network HSM does. Each C_Login leaves one byte in shim-logins beside the token's
 * configuration; while a file shim-hide lies there, a process sees no token until it has initialised the
 * module a second time; while a file shim-no-secrets lies there, nobody can bring a secret key of his own;
 * while a file shim-mute lies there, no ECDSA signature is made; a file shim-delay-us says how long
 * what goes to the token takes besides, as with an HSM across a network; while a file shim-hold lies there,
 * nothing comes back, and each call that waits for it has left a byte in shim-held.
 */
#include <dlfcn.h>
#include <fcntl.h>
#include <p11-kit/pkcs11.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static CK_FUNCTION_LIST *real, shim;

static bool marked(const CK_GCM_PARAMS *params, const char *marker)
{
    return params->pAAD != NULL && memmem(params->pAAD, params->ulAADLen, marker, strlen(marker)) != NULL;
}

static CK_RV encrypt_init(CK_SESSION_HANDLE session, CK_MECHANISM *mechanism, CK_OBJECT_HANDLE key)
{
    static bool failed_once;
    const CK_GCM_PARAMS *params = mechanism->pParameter;
    if (mechanism->mechanism == CKM_AES_GCM && mechanism->ulParameterLen == sizeof *params) {
        if (marked(params, "shim:crash")) _exit(99);
        while (marked(params, "shim:hang")) nanosleep(&(struct timespec){.tv_sec = 1}, NULL);
        if (marked(params, "shim:error")) return CKR_DEVICE_ERROR;
        if (marked(params, "shim:once") && !failed_once) {
            failed_once = true;
            return CKR_BUFFER_TOO_SMALL;
        }
        if (marked(params, "shim:slow")) nanosleep(&(struct timespec){.tv_nsec = 5000000}, NULL);
    }
    return real->C_EncryptInit(session, mechanism, key);
}

static void beside_conf(const char *name, char path[400])
{
    const char *conf = getenv("SOFTHSM2_CONF");
    const char *slash = conf != NULL ? strrchr(conf, '/') : NULL;
    snprintf(path, 400, "%.*s/%s", slash != NULL ? (int)(slash - conf) : 0, conf != NULL ? conf : "", name);
}

static void wait_while_held(void)
{
    char hold[400], held[400];
    beside_conf("shim-hold", hold);
    if (access(hold, F_OK) != 0) return;
    beside_conf("shim-held", held);
    FILE *file = fopen(held, "ae");
    if (file != NULL && fputc('H', file) == 'H') fclose(file);
    while (access(hold, F_OK) == 0) nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
}

/* Of what goes to the token: beginning an operation does not. */
static void travel(void)
{
    char path[400];
    long us = 0;
    wait_while_held();
    beside_conf("shim-delay-us", path);
    FILE *file = fopen(path, "re");
    if (file == NULL) return;
    if (fscanf(file, "%ld", &us) == 1) nanosleep(&(struct timespec){us / 1000000, us % 1000000 * 1000}, NULL);
    fclose(file);
}

static CK_RV encrypt(CK_SESSION_HANDLE session, CK_BYTE *data, CK_ULONG len, CK_BYTE *to, CK_ULONG *to_len)
{
    if (to != NULL) travel();
    return real->C_Encrypt(session, data, len, to, to_len);
}

static CK_RV decrypt(CK_SESSION_HANDLE session, CK_BYTE *data, CK_ULONG len, CK_BYTE *to, CK_ULONG *to_len)
{
    if (to != NULL) travel();
    return real->C_Decrypt(session, data, len, to, to_len);
}

static CK_RV sign(CK_SESSION_HANDLE session, CK_BYTE *data, CK_ULONG len, CK_BYTE *to, CK_ULONG *to_len)
{
    if (to != NULL) travel();
    return real->C_Sign(session, data, len, to, to_len);
}

static CK_RV generate_random(CK_SESSION_HANDLE session, CK_BYTE *to, CK_ULONG len)
{
    travel();
    return real->C_GenerateRandom(session, to, len);
}

static CK_RV sign_init(CK_SESSION_HANDLE session, CK_MECHANISM *mechanism, CK_OBJECT_HANDLE key)
{
    char path[400];
    beside_conf("shim-mute", path);
    if (mechanism->mechanism == CKM_ECDSA && access(path, F_OK) == 0) return CKR_DEVICE_ERROR;
    return real->C_SignInit(session, mechanism, key);
}

static unsigned initialised;

static CK_RV initialise(void *args)
{
    initialised++;
    return real->C_Initialize(args);
}

static CK_RV slot_list(CK_BBOOL present, CK_SLOT_ID *slots, CK_ULONG *count)
{
    char path[400];
    beside_conf("shim-hide", path);
    if (initialised > 1 || access(path, F_OK) != 0) return real->C_GetSlotList(present, slots, count);
    *count = 0;
    return CKR_OK;
}

static CK_RV login(CK_SESSION_HANDLE session, CK_USER_TYPE user, CK_UTF8CHAR *pin, CK_ULONG len)
{
    char path[400];
    beside_conf("shim-logins", path);
    int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (fd < 0 || write(fd, "L", 1) != 1) return CKR_FUNCTION_FAILED;
    close(fd);
    return real->C_Login(session, user, pin, len);
}

static CK_RV create_object(CK_SESSION_HANDLE session, CK_ATTRIBUTE *attributes, CK_ULONG count,
                           CK_OBJECT_HANDLE *object)
{
    char path[400];
    CK_OBJECT_CLASS class = CKO_DATA;
    beside_conf("shim-no-secrets", path);
    for (CK_ULONG i = 0; i < count; i++)
        if (attributes[i].type == CKA_CLASS) memcpy(&class, attributes[i].pValue, sizeof class);
    if (class == CKO_SECRET_KEY && access(path, F_OK) == 0) return CKR_FUNCTION_NOT_SUPPORTED;
    return real->C_CreateObject(session, attributes, count, object);
}

CK_RV C_GetFunctionList(CK_FUNCTION_LIST **list)
{
    CK_C_GetFunctionList get = NULL;
    void *handle = dlopen(KMS_SOFTHSM_MODULE, RTLD_NOW | RTLD_LOCAL);
    void *symbol = handle != NULL ? dlsym(handle, "C_GetFunctionList") : NULL;
    memcpy(&get, &symbol, sizeof get);
    if (get == NULL || get(&real) != CKR_OK) return CKR_GENERAL_ERROR;
    shim = *real;
    shim.C_Encrypt = encrypt;
    shim.C_Decrypt = decrypt;
    shim.C_Sign = sign;
    shim.C_GenerateRandom = generate_random;
    shim.C_EncryptInit = encrypt_init;
    shim.C_SignInit = sign_init;
    shim.C_Login = login;
    shim.C_Initialize = initialise;
    shim.C_GetSlotList = slot_list;
    shim.C_CreateObject = create_object;
    *list = &shim;
    return CKR_OK;
}
