/* What Android's C library has and glibc lacks, as far as LiteRT's x86_64 library asks for it. Preloaded, so that
 * the very library of the APK runs in this machine's JVM. Mutexes, conditions and the stack's canary agree in both. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { FILE_SIZE = 152 };
char __sF[3 * FILE_SIZE]; /* Android's stdin, stdout, stderr */

static FILE *real(FILE *file) {
    char *place = (char *)file;
    return place >= __sF && place < __sF + sizeof __sF ? stderr : file;
}

int *__errno(void) { return &errno; }
size_t __strlen_chk(const char *text, size_t size) { (void)size; return strlen(text); }
void android_set_abort_message(const char *text) { fprintf(stderr, "abort: %s\n", text); }

int vfprintf(FILE *file, const char *format, va_list arguments) {
    int (*next)(FILE *, const char *, va_list) = dlsym(RTLD_NEXT, "vfprintf");
    return next(real(file), format, arguments);
}
int fprintf(FILE *file, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    int count = vfprintf(file, format, arguments);
    va_end(arguments);
    return count;
}
int fputc(int c, FILE *file) {
    int (*next)(int, FILE *) = dlsym(RTLD_NEXT, "fputc");
    return next(c, real(file));
}
size_t fwrite(const void *data, size_t size, size_t count, FILE *file) {
    size_t (*next)(const void *, size_t, size_t, FILE *) = dlsym(RTLD_NEXT, "fwrite");
    return next(data, size, count, real(file));
}
int fflush(FILE *file) {
    int (*next)(FILE *) = dlsym(RTLD_NEXT, "fflush");
    return next(file ? real(file) : file);
}
int __android_log_vprint(int priority, const char *tag, const char *format, va_list arguments) {
    (void)priority;
    fprintf(stderr, "%s: ", tag);
    int count = vfprintf(stderr, format, arguments);
    fputc('\n', stderr);
    return count;
}

/* The same questions have other numbers there. */
long sysconf(int name) {
    long (*next)(int) = dlsym(RTLD_NEXT, "sysconf");
    return next(name == 0x60 ? _SC_NPROCESSORS_CONF : name == 0x61 ? _SC_NPROCESSORS_ONLN : name);
}

/* A phone with Android 15. LiteRT asks before it looks for XNNPACK by name, in itself: Android's RTLD_DEFAULT sees the
 * library that asks, glibc's only global ones. */
int __system_property_get(const char *name, char *value) {
    dlopen("libtensorflowlite_jni.so", RTLD_NOW | RTLD_NOLOAD | RTLD_GLOBAL);
    strcpy(value, strcmp(name, "ro.build.version.sdk") ? "" : "35");
    return (int)strlen(value);
}
