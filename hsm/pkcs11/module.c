/* Loading the vendor's module: by absolute path, into this process alone. */
#include <dlfcn.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "hsm/pkcs11/cryptoki.h"

enum { START_TRIES = 12 };

bool kms_start_again(CK_RV rv, unsigned *tries)
{
    if (rv != CKR_GENERAL_ERROR || ++*tries >= START_TRIES) return false;
    long wait_ms = 10L * (long)*tries + (long)getpid() % 13;
    nanosleep(&(struct timespec){.tv_nsec = wait_ms * 1000000}, NULL);
    return true;
}

static kms_err check_file(const char *path, struct kms_why *why)
{
    struct stat st;
    if (stat(path, &st) != 0) {
        kms_why_set(why, "the PKCS#11 module %s cannot be found: check module-path in hsm.uri", path);
        return KMS_FAIL(MODULE_UNAVAILABLE);
    }
    if (!S_ISREG(st.st_mode) || (st.st_mode & S_IWOTH) != 0) {
        kms_why_set(why, "the PKCS#11 module %s is %s: it will not be loaded", path,
                    S_ISREG(st.st_mode) ? "writable by everyone" : "not a regular file");
        return KMS_FAIL(MODULE_UNAVAILABLE);
    }
    return KMS_OK;
}

static kms_err initialise(const char *path, CK_FUNCTION_LIST *fn, struct kms_why *why)
{
    CK_C_INITIALIZE_ARGS args = {.flags = CKF_OS_LOCKING_OK};
    unsigned tries = 0;
    CK_RV rv;
    do {
        rv = fn->C_Initialize(&args);
    } while (kms_start_again(rv, &tries));
    if (rv == CKR_OK || rv == CKR_CRYPTOKI_ALREADY_INITIALIZED) return KMS_OK;
    kms_why_set(
        why,
        "the PKCS#11 module %s cannot be initialised: C_Initialize: %s (0x%lx); see its own configuration",
        path, kms_ckr_name(rv), rv);
    return KMS_FAIL(MODULE_UNAVAILABLE);
}

kms_err kms_module_again(const char *path, CK_FUNCTION_LIST *fn, struct kms_why *why)
{
    fn->C_Finalize(NULL); /* whatever it answers, C_Initialize tells */
    return initialise(path, fn, why);
}

kms_err kms_module_load(const char *path, CK_FUNCTION_LIST **ret_fn, struct kms_why *why)
{
    KMS_TRY(check_file(path, why));
    void *handle = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    CK_C_GetFunctionList get = NULL;
    CK_FUNCTION_LIST *fn = NULL;
    if (handle != NULL) {
        void *symbol = dlsym(handle, "C_GetFunctionList");
        memcpy(&get, &symbol, sizeof get); /* ISO C has no cast from object to function pointer */
    }
    if (get == NULL || get(&fn) != CKR_OK || fn == NULL) {
        const char *reason = handle == NULL ? dlerror() : "it does not export C_GetFunctionList";
        kms_why_set(why, "%s is not a usable PKCS#11 module: %s", path,
                    reason != NULL ? reason : "unknown reason");
        return KMS_FAIL(MODULE_UNAVAILABLE);
    }
    KMS_TRY(initialise(path, fn, why));
    *ret_fn = fn;
    return KMS_OK;
}
